package console

import "net/http"

// contentPolicy lets the page have its own files and nothing else: no inline
// scripts or styles, no other origin, no frame around it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secured adds the headers by which browsers protect the console, and refuses
// changes that pages of other origins send.
func secured(h http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, r, http.StatusForbidden, ErrorReply{Error{Code: "AccessDenied", Message: "The request comes from a page of another origin."}})
	}))
	guarded := crossOrigin.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      contentPolicy,
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY", // for browsers that do not know frame-ancestors
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
		} {
			w.Header().Set(name, value)
		}
		guarded.ServeHTTP(w, r)
	})
}
