package awswire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sigv4"
)

// RESTJSON is the protocol of EKS and EKS Auth
// (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html).
type RESTJSON struct{}

// Identify sets x-amzn-RequestId.
func (RESTJSON) Identify(w http.ResponseWriter, r *http.Request) string { return identify(w, r) }

// WriteError names the exception in the header x-amzn-ErrorType, which is where
// every SDK looks first, and writes {"message": ..., members}.
func (RESTJSON) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := resolve(err, jsonAuthError)
	body := map[string]string{}
	maps.Copy(body, e.Members)
	body["message"] = e.Message
	w.Header().Set("x-amzn-ErrorType", e.Code)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	WriteJSON(w, r, e.Status, body)
}

// WriteJSON answers r with v.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // AWS does not, and policies are full of <, > and &
	if err := enc.Encode(v); err != nil {
		RESTJSON{}.WriteError(w, r, err)
		return
	}
	identify(w, r)
	reply(w, r, status, "application/json", bytes.TrimSuffix(body.Bytes(), []byte("\n")))
}

// maxDepth bounds how deep objects and lists may lie within each other. No
// request of EKS goes deeper than five.
const maxDepth = 32

// DecodeJSON reads the JSON object in r's body, at most 1 MiB, into dst, a
// pointer to a struct with json tags. No body at all is an empty object.
// Members that dst lacks are ignored and null leaves a member as it was
// (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#content-type);
// names are told apart by case, as AWS does and encoding/json alone does not.
//
// Its error is an *identity.Error: InvalidParameter, naming the member, where
// a member has the wrong type; InvalidRequest where the body is not one JSON
// object or too large. An error of the body's reader that is a *sigv4.Error is
// returned as it is.
func DecodeJSON(r *http.Request, dst any) error {
	var text bytes.Buffer
	text.Grow(int(max(0, min(r.ContentLength, maxBody))) + bytes.MinRead)
	_, err := text.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	body := text.Bytes()
	if err != nil {
		if e, ok := errors.AsType[*sigv4.Error](err); ok {
			return e
		}
		return identity.Errorf(identity.InvalidRequest, "The request body could not be read.").Because(err)
	}
	if len(body) > maxBody {
		return identity.Errorf(identity.InvalidRequest, "The request body is larger than %d bytes.", maxBody)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if tooDeep(body) {
		return notJSON()
	}
	return decodeObject(body, reflect.ValueOf(dst).Elem(), "")
}

func notJSON() *identity.Error {
	return identity.Errorf(identity.InvalidRequest, "The request body is not valid JSON.")
}

// tooDeep counts brackets outside strings. It runs before any recursive parser.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// decodeObject fills the struct dst from body. path names the object, "" the
// outermost, the only one that may not be valid JSON.
func decodeObject(body []byte, dst reflect.Value, path string) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		if _, broken := errors.AsType[*json.SyntaxError](err); broken {
			return notJSON()
		}
		if path == "" {
			return identity.Errorf(identity.InvalidRequest, "The request body is not a JSON object.")
		}
		return wrongType(path, dst.Type())
	}
	for i := range dst.NumField() {
		name, _, _ := strings.Cut(dst.Type().Field(i).Tag.Get("json"), ",")
		raw, sent := members[name]
		if name == "" || name == "-" || !sent || string(raw) == "null" {
			continue
		}
		if err := decodeMember(raw, dst.Field(i), path+name); err != nil {
			return err
		}
	}
	return nil
}

func decodeMember(raw json.RawMessage, field reflect.Value, path string) error {
	if _, custom := field.Addr().Interface().(json.Unmarshaler); custom {
		if json.Unmarshal(raw, field.Addr().Interface()) != nil {
			return wrongType(path, field.Type())
		}
		return nil
	}
	if field.Kind() == reflect.Pointer && field.Type().Elem().Kind() == reflect.Struct {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if field.Kind() == reflect.Struct {
		return decodeObject(raw, field, path+".")
	}
	if text, ok := plain(raw); ok && field.Kind() == reflect.String {
		field.SetString(text)
		return nil
	}
	if err := json.Unmarshal(raw, field.Addr().Interface()); err != nil {
		return wrongType(path, field.Type())
	}
	return nil
}

// plain returns the string that raw is, if it is one in which nothing is
// escaped: tokens are long, and reading each a second time costs.
func plain(raw json.RawMessage) (string, bool) {
	if raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		return "", false
	}
	return string(raw[1 : len(raw)-1]), true
}

func wrongType(path string, t reflect.Type) error {
	return identity.Errorf(identity.InvalidParameter, "%s must be %s.", strings.TrimSuffix(path, "."), jsonName(t))
}

// jsonName says in words what JSON is wanted for t.
func jsonName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonName(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "an object of strings"
	}
	return "an object"
}
