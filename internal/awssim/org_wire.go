package awssim

// The results of Organizations' operations (model organizations 2016-11-28).

type orgReply struct {
	Organization orgView
}

type orgView struct {
	ID              string `json:"Id"`
	ARN             string `json:"Arn"`
	FeatureSet      string
	MasterAccountID string `json:"MasterAccountId"`
}

type parentsReply struct {
	Parents []parentView
}

type parentView struct {
	ID   string `json:"Id"`
	Type string
}

type policiesReply struct {
	Policies []policySummary
}

type policySummary struct {
	ID         string `json:"Id"`
	ARN        string `json:"Arn"`
	Name       string
	Type       string
	AWSManaged bool `json:"AwsManaged"`
}

type policyReply struct {
	Policy policyView
}

type policyView struct {
	PolicySummary policySummary
	Content       string
}
