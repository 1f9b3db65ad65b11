package awswire_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sigv4"
)

type jsonInput struct {
	RoleARN string            `json:"roleArn"`
	Disable *bool             `json:"disableSessionTags"`
	Max     int32             `json:"maxResults"`
	Tags    map[string]string `json:"tags"`
	Keys    []string          `json:"tagKeys"`
	At      awswire.Timestamp `json:"at"`
	Nested  struct {
		Name string `json:"name"`
	} `json:"nested"`
	Pointer *struct {
		Name string `json:"name"`
	} `json:"pointer"`
}

func TestDecodeJSON(t *testing.T) {
	yes := true
	for body, want := range map[string]jsonInput{
		``:                            {},
		"  \n":                        {},
		`{}`:                          {},
		`{"roleArn":"a","nope":[{}]}`: {RoleARN: "a"},
		`{"roleArn":"a","RoleArn":"b","ROLEARN":"c"}`:          {RoleARN: "a"},
		`{"roleArn":null}`:                                     {},
		` {"disableSessionTags" : true } `:                     {Disable: &yes},
		`{"tags":{"a b":"c"},"tagKeys":["x"],"maxResults":-1}`: {Tags: map[string]string{"a b": "c"}, Keys: []string{"x"}, Max: -1},
		`{"nested":{"name":"n","Name":"m"}}`: {Nested: struct {
			Name string `json:"name"`
		}{"n"}},
		`{"pointer":{"name":"n"}}`: {Pointer: &struct {
			Name string `json:"name"`
		}{"n"}},
		`{"at":1700862734.922}`:                          {At: awswire.Timestamp(time.UnixMilli(1700862734922).UTC())},
		`{"nope":"` + strings.Repeat("[", 100) + `\"{"}`: {},
	} {
		var got jsonInput
		if err := awswire.DecodeJSON(httptest.NewRequest("POST", "/", strings.NewReader(body)), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	for body, want := range map[string]struct {
		kind identity.Kind
		text string
	}{
		`{`:                  {identity.InvalidRequest, "not valid JSON"},
		`{"roleArn":"a"} {}`: {identity.InvalidRequest, "not valid JSON"},
		`{"roleArn":"a"}x`:   {identity.InvalidRequest, "not valid JSON"},
		`{'roleArn':'a'}`:    {identity.InvalidRequest, "not valid JSON"},
		`Action=x`:           {identity.InvalidRequest, "not valid JSON"},
		`[]`:                 {identity.InvalidRequest, "not a JSON object"},
		`null`:               {identity.InvalidRequest, "not a JSON object"},
		`"x"`:                {identity.InvalidRequest, "not a JSON object"},
		`{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`: {identity.InvalidRequest, "not valid JSON"},
		strings.Repeat("[", 1<<20):                                        {identity.InvalidRequest, "not valid JSON"},
		`{"a":"` + strings.Repeat("x", 1<<20) + `"}`:                      {identity.InvalidRequest, "larger than 1048576"},
		`{"roleArn":1}`:                 {identity.InvalidParameter, "roleArn must be a string."},
		`{"disableSessionTags":"true"}`: {identity.InvalidParameter, "disableSessionTags must be a boolean."},
		`{"maxResults":1.5}`:            {identity.InvalidParameter, "maxResults must be an integer."},
		`{"maxResults":2147483648}`:     {identity.InvalidParameter, "maxResults must be an integer."},
		`{"tags":{"a":1}}`:              {identity.InvalidParameter, "tags must be an object of strings."},
		`{"tagKeys":"a"}`:               {identity.InvalidParameter, "tagKeys must be a list."},
		`{"nested":[]}`:                 {identity.InvalidParameter, "nested must be an object."},
		`{"nested":{"name":1}}`:         {identity.InvalidParameter, "nested.name must be a string."},
		`{"pointer":{"name":[]}}`:       {identity.InvalidParameter, "pointer.name must be a string."},
		`{"at":"2026-03-17T22:27:34Z"}`: {identity.InvalidParameter, "at must be"},
		`{"at":1e300}`:                  {identity.InvalidParameter, "at must be"},
	} {
		var in jsonInput
		err := awswire.DecodeJSON(httptest.NewRequest("POST", "/", strings.NewReader(body)), &in)
		if err == nil || identity.KindOf(err) != want.kind || !strings.Contains(identity.SafeMessage(err), want.text) {
			t.Errorf("%.60s: got %v, want %v", body, err, want)
		}
	}
}

// The body's own refusal is what the caller gets to hear.
func TestDecodersPassRefusalsOn(t *testing.T) {
	refused := &sigv4.Error{Failure: sigv4.PayloadMismatch}
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("{"), errorReader{refused}))
	if err := awswire.DecodeJSON(r, &jsonInput{}); !errors.Is(err, refused) {
		t.Errorf("JSON: %v", err)
	}
	r = httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("a="), errorReader{refused}))
	if _, err := awswire.ParseForm(r); !errors.Is(err, refused) {
		t.Errorf("form: %v", err)
	}
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }

func TestTimestamp(t *testing.T) {
	for ms, want := range map[int64]string{1700862734922: "1700862734.922", 1700862734000: "1700862734.000", 1700862734007: "1700862734.007", 0: "0.000"} {
		got, err := json.Marshal(awswire.Timestamp(time.UnixMilli(ms).Add(999 * time.Microsecond)))
		if err != nil || string(got) != want {
			t.Errorf("%d: %s, %v", ms, got, err)
		}
		var back awswire.Timestamp
		if err := json.Unmarshal(got, &back); err != nil || time.Time(back).UnixMilli() != ms {
			t.Errorf("%s: %v, %v", got, time.Time(back), err)
		}
	}
	if _, err := json.Marshal(awswire.Timestamp{}); err == nil {
		t.Error("the zero time is written as a number")
	}
	var at awswire.Timestamp
	if err := json.Unmarshal([]byte("1.700862734922E9"), &at); err != nil || time.Time(at).UnixMilli() != 1700862734922 {
		t.Errorf("exponent: %v, %v", time.Time(at), err)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"roleArn":"a","tags":{"k":"v"},"tagKeys":["x"],"at":1700862734.922,"nested":{"name":"n"},"pointer":{"name":"m"}}`,
		`{"RoleArn":"a"}`, `{"at":"x"}`, `[[[[`, `{"a":"\"[{"}`, "\xff", `{"roleArn":"\ud800"}`, `{"maxResults":1e9}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got jsonInput
		err := awswire.DecodeJSON(httptest.NewRequest("POST", "/", strings.NewReader(body)), &got)
		if err != nil {
			if kind := identity.KindOf(err); kind != identity.InvalidRequest && kind != identity.InvalidParameter {
				t.Errorf("%v: %v", kind, err)
			}
			return
		}
		var generic map[string]any
		if strings.TrimSpace(body) != "" && json.Unmarshal([]byte(body), &generic) != nil {
			t.Errorf("accepted %q", body)
		}
		if want, _ := generic["roleArn"].(string); got.RoleARN != want {
			t.Errorf("%q: roleArn %q", body, got.RoleARN)
		}
	})
}
