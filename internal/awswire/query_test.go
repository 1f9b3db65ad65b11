package awswire_test

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/smithy-go/middleware"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"

	"github.com/podid/podid/internal/awswire"
)

func awsRequestID(m middleware.Metadata) (string, bool) { return awsmiddleware.GetRequestIDMetadata(m) }

func TestParseForm(t *testing.T) {
	for _, tt := range []struct {
		method, target, body string
		want                 map[string][]string
	}{
		{"GET", "/?Action=a&b=", "", map[string][]string{"Action": {"a"}, "b": {""}}},
		{"GET", "/?Action=a", "Action=b", map[string][]string{"Action": {"a"}}},
		{"POST", "/", "Action=a+b&c=%C3%BC", map[string][]string{"Action": {"a b"}, "c": {"ü"}}},
		{"POST", "/?Action=query", "Action=body", map[string][]string{"Action": {"body", "query"}}},
		{"POST", "/", "", map[string][]string{}},
	} {
		r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
		for range 2 { // whoever finds the service may have read it already
			got, err := awswire.ParseForm(r)
			if err != nil || !reflect.DeepEqual(map[string][]string(got), tt.want) {
				t.Errorf("%s %s %s: %v, %v", tt.method, tt.target, tt.body, got, err)
			}
		}
	}
}

func TestParseFormRefuses(t *testing.T) {
	for _, tt := range []struct{ target, body, want string }{
		{"/", "a=%zz", "MalformedInput"},
		{"/?a=%zz", "", "MalformedInput"},
		{"/", "a;b=c", "MalformedInput"},
		{"/", strings.Repeat("a", 1<<20+1), "RequestEntityTooLarge"},
	} {
		r := httptest.NewRequest("POST", tt.target, strings.NewReader(tt.body))
		_, err := awswire.ParseForm(r)
		if e, ok := errors.AsType[*awswire.Error](err); !ok || e.Code != tt.want {
			t.Errorf("%s %.20s: got %v, want %s", tt.target, tt.body, err, tt.want)
		}
	}
}

func TestInvalidAction(t *testing.T) {
	for _, tt := range []struct {
		form map[string][]string
		code string
		text string
	}{
		{nil, "MissingAction", "missing an action"},
		{map[string][]string{"Action": {"X"}, "Version": {"2011-06-15"}}, "InvalidAction", "Could not find operation X for version 2011-06-15"},
		{map[string][]string{"Action": {strings.Repeat("x", 10000)}}, "InvalidAction", strings.Repeat("x", 128) + " for"},
	} {
		if e := awswire.InvalidAction(tt.form); e.Code != tt.code || !strings.Contains(e.Message, tt.text) || len(e.Message) > 250 {
			t.Errorf("%.60v", e)
		}
	}
}
