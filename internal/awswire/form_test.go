package awswire

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"testing"
)

type formTag struct{ Key, Value string }

type formPage struct{ Marker string }

type formInput struct {
	formPage
	RoleArn         string
	DurationSeconds *int32
	MaxItems        int32
	OnlyAttached    bool
	Policy          *string
	PolicyArns      []struct {
		Arn string `query:"arn"`
	}
	Tags              []formTag
	TransitiveTagKeys []string
	Context           struct{ Name string }
}

func TestDecodeForm(t *testing.T) {
	n900, policy := int32(900), ""
	tests := []struct {
		name, query string
		want        formInput
	}{
		{"scalar", "RoleArn=a", formInput{RoleArn: "a"}},
		{"first value wins", "RoleArn=a&RoleArn=b", formInput{RoleArn: "a"}},
		{"unknown is ignored", "Nope=a&Nope.member.x=1", formInput{}},
		{"signed integer", "DurationSeconds=%2B900", formInput{DurationSeconds: &n900}},
		{"leading zero", "DurationSeconds=0900", formInput{DurationSeconds: &n900}},
		{"smallest integer", "MaxItems=-2147483648", formInput{MaxItems: -1 << 31}},
		{"booleans", "OnlyAttached=True", formInput{OnlyAttached: true}},
		{"sent but empty", "Policy=", formInput{Policy: &policy}},
		{"member named in lower case", "PolicyArns.member.1.arn=x", formInput{PolicyArns: []struct {
			Arn string `query:"arn"`
		}{{"x"}}}},
		{"list by number, not by text", "TransitiveTagKeys.member.10=c&TransitiveTagKeys.member.2=b&TransitiveTagKeys.member.1=a",
			formInput{TransitiveTagKeys: []string{"a", "b", "c"}}},
		{"gaps close up", "Tags.member.2147483647.Key=k&Tags.member.3.Value=v", formInput{Tags: []formTag{{"", "v"}, {"k", ""}}}},
		{"list of structs", "Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.1.Nope=x", formInput{Tags: []formTag{{"k", "v"}}}},
		{"empty list", "Tags=", formInput{Tags: []formTag{}}},
		{"embedded", "Marker=m", formInput{formPage: formPage{"m"}}},
		{"nested", "Context.Name=n", formInput{Context: struct{ Name string }{"n"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			form, _ := url.ParseQuery(tt.query)
			var got formInput
			if err := DecodeForm(form, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDecodeFormRefuses(t *testing.T) {
	tests := map[string]string{
		"no integer":         "DurationSeconds=1h",
		"fraction":           "DurationSeconds=900.0",
		"over 32 bits":       "DurationSeconds=2147483648",
		"empty integer":      "DurationSeconds=",
		"space":              "DurationSeconds=+900",
		"no boolean":         "OnlyAttached=1",
		"index zero":         "Tags.member.0.Key=k",
		"negative index":     "Tags.member.-1.Key=k",
		"second spelling":    "Tags.member.1.Key=k&Tags.member.01.Key=j",
		"huge index":         "Tags.member.99999999999999999999.Key=k",
		"index over 32 bits": "Tags.member.2147483648.Key=k",
		"no index":           "Tags.member..Key=k",
		"too many members":   manyMembers(maxMembers + 1),
	}
	for name, query := range tests {
		t.Run(name, func(t *testing.T) {
			form, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			var in formInput
			err = DecodeForm(form, &in)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != "MalformedInput" || e.Status != http.StatusBadRequest {
				t.Fatalf("got %v, want MalformedInput", err)
			}
		})
	}
}

// manyMembers is a form with a list of n.
func manyMembers(n int) string {
	form := url.Values{}
	for i := range n {
		form.Set("TransitiveTagKeys.member."+strconv.Itoa(i+1), "x")
	}
	return form.Encode()
}

func FuzzDecodeForm(f *testing.F) {
	for _, seed := range []string{
		"Action=AssumeRole&Version=2011-06-15&RoleArn=a&Tags.member.1.Key=k&Tags.member.1.Value=v",
		"Tags.member.1.Key=k&Tags.member.01.Key=j", "PolicyArns.member.2.arn=x&PolicyArns=", "DurationSeconds=%2B900&OnlyAttached=false",
		"Tags.member.", "TransitiveTagKeys.member.9223372036854775808=x", "%zz", ";",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		var in formInput
		if err := DecodeForm(form, &in); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%T is no *Error", err)
			}
			return
		}
		if len(in.Tags)+len(in.PolicyArns)+len(in.TransitiveTagKeys) > len(form) {
			t.Errorf("more members than parameters: %+v", in)
		}
	})
}
