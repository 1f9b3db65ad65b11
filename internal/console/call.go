package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/podid/podid/internal/identity"
)

// maxBody bounds the body of a request: an association with all its tags has
// less than 40 KiB.
const maxBody = 128 << 10

// call is one request, and who makes it.
type call struct {
	*http.Request
	id     string // of the request
	user   User
	status int // of a good answer
}

// route answers with what a function returns.
func (c *Console) route(answer func(*call) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("Cache-Control", "no-store")
		out, status, err := c.answer(r, id, answer)
		if err != nil {
			reply := replyTo(err)
			reply.Error.RequestID = id
			status, out = statusOf(err), reply
			if status >= http.StatusInternalServerError && r.Context().Err() == nil { // whoever left gets no answer
				c.config.Logger.WarnContext(r.Context(), "console", slog.String("path", r.URL.Path), slog.String("request_id", id), slog.Any("error", err))
			}
			if reply.Error.RetryAfterSeconds > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(reply.Error.RetryAfterSeconds))
			}
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="podid"`)
			}
		}
		writeJSON(w, r, status, out)
	})
}

func (c *Console) answer(r *http.Request, id string, answer func(*call) (any, error)) (any, int, error) {
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if changes && r.Header.Get(ChangeHeader) == "" {
		return nil, 0, identity.Errorf(identity.InvalidRequest, "The header %s is missing: requests that change something carry it.", ChangeHeader)
	}
	if changes && r.Method != http.MethodDelete {
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
			return nil, 0, identity.Errorf(identity.InvalidRequest, "Content-Type: want application/json.")
		}
	}
	user, err := c.config.User(r)
	if err != nil {
		return nil, 0, err
	}
	k := &call{Request: r, id: id, user: user, status: http.StatusOK}
	out, err := answer(k)
	return out, k.status, err
}

// decode reads the JSON body.
func (k *call) decode(into any) error {
	text, err := io.ReadAll(io.LimitReader(k.Body, maxBody+1))
	if err != nil {
		return identity.Errorf(identity.InvalidRequest, "The request's body could not be read.").Because(err)
	}
	if len(text) > maxBody {
		return identity.Errorf(identity.InvalidRequest, "The request's body has more than %d bytes.", maxBody)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return identity.Errorf(identity.InvalidRequest, "The request's body is not the JSON that is wanted: %.200s", err.Error())
	}
	if d.More() {
		return identity.Errorf(identity.InvalidRequest, "The request's body has more than one JSON value.")
	}
	return nil
}

// writeJSON writes an answer, packed where that is worth it and wanted.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, out any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // policies are full of <, > and &, and nosniff keeps JSON from being HTML
	if err := e.Encode(out); err != nil {
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	body := b.Bytes()
	if len(body) > 1400 && takesGzip(r) {
		body = gzipped(body, 1)
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Add("Vary", "Accept-Encoding")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error here is the reader's going away
}

// errReadOnly is what changes are refused with.
var errReadOnly = identity.Errorf(identity.AccessDenied, "The console is read-only: whoever runs it has turned changes off. Use kubectl or the AWS CLI.")

// kinds is the console's one table of errors.
var kinds = map[identity.Kind]struct {
	code   string
	status int
}{
	identity.Internal:         {"Internal", http.StatusInternalServerError},
	identity.InvalidParameter: {"InvalidParameter", http.StatusBadRequest},
	identity.InvalidRequest:   {"InvalidRequest", http.StatusBadRequest},
	identity.NotFound:         {"NotFound", http.StatusNotFound},
	identity.InUse:            {"Conflict", http.StatusConflict},
	identity.LimitExceeded:    {"LimitExceeded", http.StatusConflict},
	identity.AccessDenied:     {"AccessDenied", http.StatusForbidden},
	identity.Unauthenticated:  {"Unauthenticated", http.StatusUnauthorized},
	identity.InvalidToken:     {"Unauthenticated", http.StatusUnauthorized},
	identity.ExpiredToken:     {"Unauthenticated", http.StatusUnauthorized},
	identity.Throttled:        {"Throttled", http.StatusTooManyRequests},
	identity.Unavailable:      {"Unavailable", http.StatusServiceUnavailable},
}

func statusOf(err error) int { return kinds[identity.KindOf(err)].status }

func codeOf(err error) string {
	if errors.Is(err, errReadOnly) {
		return "ReadOnly"
	}
	return kinds[identity.KindOf(err)].code
}

func replyTo(err error) ErrorReply {
	out := Error{Code: codeOf(err), Message: identity.SafeMessage(err), Field: fieldOf(err)}
	if e, ok := errors.AsType[*identity.Error](err); ok && e.RetryAfter > 0 {
		out.RetryAfterSeconds = int((e.RetryAfter + time.Second - 1) / time.Second)
	}
	return ErrorReply{out}
}

// fields are those of an AssociationInput, by the word by which the texts of
// association.Rules name them.
var fields = map[string]string{
	"namespace": "namespace", "serviceAccount": "serviceAccount", "roleArn": "roleArn", "targetRoleArn": "targetRoleArn",
	"policy": "policy", "PackedPolicyTooLarge": "policy", "Tag": "tags", "tag": "tags",
}

// fieldOf names the field that an error is about: the first that its text names.
func fieldOf(err error) string {
	if identity.KindOf(err) != identity.InvalidParameter {
		return ""
	}
	for _, word := range strings.Fields(identity.SafeMessage(err)) {
		if field := fields[strings.TrimRight(word, ":.,")]; field != "" {
			return field
		}
	}
	return ""
}

// digest is short, and stands for a text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// cut splits a route of api.go.
func cut(route string) (method, path string) {
	method, path, _ = strings.Cut(route, " ")
	return method, path
}
