package awswire

import "encoding/xml"

// queryReply is the envelope of a Query operation's result.
type queryReply struct {
	XMLName   xml.Name
	Namespace string `xml:"xmlns,attr"`
	Result    *queryResult
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

// queryResult is value, in an element of the given name.
type queryResult struct {
	name  string
	value any
}

// MarshalXML gives the element its name, which only the operation knows.
func (q queryResult) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	return e.EncodeElement(q.value, xml.StartElement{Name: xml.Name{Local: q.name}})
}

// queryError is the Query protocol's error document.
type queryError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}
