package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
)

const credentialsPath = "/v1/credentials"

// handler is the whole of what pods can ask.
func (a *Agent) handler() http.Handler {
	// A pod has no say in what is traced.
	credentials := a.cache.tracer.Door(http.MethodGet, credentialsPath, false, http.HandlerFunc(a.credentials))
	mux := http.NewServeMux()
	mux.Handle("GET "+credentialsPath, credentials)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !a.addresses.named(r.Host):
			a.refuse(w, r, &refusal{status: http.StatusForbidden, code: "AccessDeniedException", text: fmt.Sprintf(
				"Access Denied. Called agent through invalid address, please use either %v address not %.255s", a.addresses, r.Host)})
		// What SDKs ask, and a tenth faster without looking for its route.
		case r.Method == http.MethodGet && r.URL.Path == credentialsPath:
			credentials.ServeHTTP(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

var contentTypeJSON = []string{"application/json"}

func (a *Agent) credentials(w http.ResponseWriter, r *http.Request) {
	token, refused := tokenOf(r)
	if refused == nil {
		var got *body
		if got, refused = a.cache.get(r.Context(), token, r.RemoteAddr); refused == nil {
			a.cache.ok.Add(1)
			header := w.Header() // set without Set, which allocates
			header["Content-Type"] = contentTypeJSON
			header["Content-Length"] = got.length
			w.Write(got.json)
			return
		}
	}
	a.refuse(w, r, refused)
}

// tokenOf returns the service account token that r carries, as it is, without
// any scheme such as Bearer.
func tokenOf(r *http.Request) (string, *refusal) {
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0 || values[0] == "":
		return "", &refusal{status: http.StatusBadRequest, code: "InvalidRequestException", text: "Service account token cannot be empty"}
	case len(values) > 1:
		return "", unparsable(errors.New("more than one Authorization header"))
	case len(values[0]) > maxToken: // before it is hashed
		return "", unparsable(errTooLong)
	}
	return values[0], nil
}

// refuse answers as text, or as JSON to those who ask for it.
func (a *Agent) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) {
	a.cache.countResponse(refused.status)
	a.logger.LogAttrs(r.Context(), slog.LevelDebug, "refused", slog.Int("status", refused.status), slog.String("text", refused.text))
	if refused.status == http.StatusTooManyRequests || refused.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refused.retryIn.Seconds()))))
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(refused.status)
		json.NewEncoder(w).Encode(wireError{Code: refused.code, Message: refused.text})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(refused.status)
	fmt.Fprintln(w, refused.text)
}
