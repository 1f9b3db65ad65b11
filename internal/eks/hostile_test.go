package eks

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

// TestOddRequests: whatever is asked, the answer is one of the API's own, and
// no path reaches an operation that it does not spell out.
func TestOddRequests(t *testing.T) {
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	handler := over(t, store, nil)
	const associations = "/clusters/c/pod-identity-associations"
	const valid = `{"namespace":"n","serviceAccount":"s","roleArn":"` + role + `"`
	for name, c := range map[string]struct {
		method, target, body string
		status               int
		exception            string
	}{
		"empty cluster":            {"GET", "/clusters//pod-identity-associations", "", 404, "UnknownOperationException"},
		"dots":                     {"GET", "/clusters/c/../c", "", 404, "UnknownOperationException"},
		"trailing slash":           {"GET", "/clusters/", "", 404, "UnknownOperationException"},
		"encoded dots":             {"GET", "/clusters/%2e%2e", "", 404, "ResourceNotFoundException"},
		"encoded slash":            {"GET", "/clusters/c%2fx", "", 404, "ResourceNotFoundException"},
		"ARN not encoded":          {"GET", "/tags/arn:aws:eks:us-west-2:111122223333:podidentityassociation/c/a-00000000000000000", "", 404, "UnknownOperationException"},
		"ARN half encoded":         {"GET", "/tags/arn:aws:eks:us-west-2:111122223333:podidentityassociation%2Fc%2Fa-00000000000000000", "", 404, "NotFoundException"},
		"ARN encoded twice":        {"GET", "/tags/arn%253Aaws%253Aeks", "", 400, "BadRequestException"},
		"create cluster":           {"POST", "/clusters", "{}", 405, "UnknownOperationException"},
		"delete cluster":           {"DELETE", "/clusters/c", "", 405, "UnknownOperationException"},
		"put":                      {"PUT", associations, "{}", 405, "UnknownOperationException"},
		"patch":                    {"PATCH", associations + "/a-00000000000000000", "{}", 405, "UnknownOperationException"},
		"method made up":           {"BREW", "/tags/x", "", 405, "UnknownOperationException"},
		"root":                     {"GET", "/", "", 404, "UnknownOperationException"},
		"another operation of EKS": {"GET", "/clusters/c/addons", "", 404, "UnknownOperationException"},
		"a list for a body":        {"POST", associations, `[]`, 400, "InvalidRequestException"},
		"null for a body":          {"POST", associations, `null`, 400, "InvalidRequestException"},
		"deep nesting":             {"POST", associations, valid + `,"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", 400, "InvalidRequestException"},
		"a string for a boolean":   {"POST", associations, valid + `,"disableSessionTags":"true"}`, 400, "InvalidParameterException"},
		"a list for tags":          {"POST", associations, valid + `,"tags":["k"]}`, 400, "InvalidParameterException"},
		"a number for a tag":       {"POST", associations, valid + `,"tags":{"k":1}}`, 400, "InvalidParameterException"},
		"an object for a policy":   {"POST", associations, valid + `,"policy":{"Version":"2012-10-17"}}`, 400, "InvalidParameterException"},
		"members in another case":  {"POST", associations, `{"Namespace":"n","ServiceAccount":"s","RoleArn":"` + role + `"}`, 400, "InvalidParameterException"},
		"not UTF-8":                {"POST", associations, "{\"namespace\":\"n\xff\",\"serviceAccount\":\"s\",\"roleArn\":\"" + role + "\"}", 400, "InvalidParameterException"},
		"a NUL":                    {"POST", associations, `{"namespace":"n\u0000","serviceAccount":"s","roleArn":"` + role + `"}`, 400, "InvalidParameterException"},
		"over 1 MiB":               {"POST", associations, valid + `,"x":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "InvalidRequestException"},
		"tags over 1 MiB":          {"POST", "/tags/x", `{"tags":{"k":"` + strings.Repeat("x", 1<<20) + `"}}`, 400, "BadRequestException"},
		"page of 101":              {"GET", associations + "?maxResults=101", "", 400, "InvalidParameterException"},
		"page of too many digits":  {"GET", associations + "?maxResults=99999999999999999999", "", 400, "InvalidParameterException"},
		"page without a size":      {"GET", associations + "?maxResults=", "", 400, "InvalidParameterException"},
		"clusters, page of none":   {"GET", "/clusters?maxResults=0", "", 400, "InvalidParameterException"},
		"clusters, bad token":      {"GET", "/clusters?nextToken=AAAA", "", 400, "InvalidParameterException"},
		"untag nothing":            {"DELETE", "/tags/arn:aws:eks:us-west-2:111122223333:podidentityassociation%2Fc%2Fa-00000000000000000", "", 400, "BadRequestException"},
		"untag with a bad query":   {"DELETE", "/tags/x?tagKeys=%zz", "", 400, "BadRequestException"},
		"id of a wildcard":         {"DELETE", associations + "/*", "", 404, "ResourceNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(c.method, c.target, strings.NewReader(c.body)))
			if w.Code != c.status || w.Header().Get("X-Amzn-Errortype") != c.exception ||
				w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), `"message":"`) || w.Header().Get("X-Amzn-Requestid") == "" {
				t.Errorf("%d %v %.300s, want %d %s", w.Code, w.Header(), w.Body, c.status, c.exception)
			}
			if (w.Code == 405) != (w.Header().Get("Allow") != "") {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", associations, nil))
	if got, want := w.Body.String(), `{"associations":[]}`; got != want {
		t.Errorf("after all that: %s, want %s", got, want)
	}
}

// TestWhoIsNotKnownGetsNothing: a caller that cannot be told ends the request,
// under whatever name the door gave the refusal, before its body is read.
func TestWhoIsNotKnownGetsNothing(t *testing.T) {
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := New(Config{}); err == nil {
		t.Error("New took an empty Config")
	}
	handler, err := New(Config{Associations: serviceOver(t, store), Caller: func(*http.Request) (identity.Caller, error) {
		return nil, &awswire.Error{Code: "UnrecognizedClientException", Status: 403, Message: "The security token included in the request is invalid."}
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/clusters/c/pod-identity-associations", unreadable{t}))
	if w.Code != 403 || w.Header().Get("X-Amzn-Errortype") != "UnrecognizedClientException" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// unreadable fails the test if it is read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func FuzzRequest(f *testing.F) {
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		f.Fatal(err)
	}
	defer store.Close()
	handler := over(f, store, nil)
	f.Add("POST", "/clusters/c/pod-identity-associations", `{"namespace":"n","serviceAccount":"s","roleArn":"arn:aws:iam::111122223333:role/r","tags":{"k":"v"}}`)
	f.Add("GET", "/clusters/c/pod-identity-associations?maxResults=1&nextToken=AAAA&namespace=n", "")
	f.Add("DELETE", "/tags/arn%3Aaws%3Aeks%3Aus-west-2%3A111122223333%3Apodidentityassociation%2Fc%2Fa-00000000000000000?tagKeys=k", "")
	f.Add("GET", "//", "")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequest(method, "http://localhost/"+strings.TrimPrefix(target, "/"), strings.NewReader(body))
		if err != nil {
			t.Skip("not a request")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code != 200 && w.Header().Get("X-Amzn-Errortype") == "" {
			t.Errorf("%s %q %q: %d %v %s", method, target, body, w.Code, w.Header(), w.Body)
		}
	})
}
