package httpd_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/podid/podid/internal/httpd"
)

func TestWatch(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		status int
		stream bool
	}{
		"nothing said": {func(http.ResponseWriter, *http.Request) {}, 200, false},
		"refused":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, http.StatusTeapot, false},
		"it works, and then": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusNotFound)
		}, http.StatusNotFound, false},
		"in parts": {func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}, 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			var told []httpd.Answer
			h := httpd.Watch(test.answer, func(_ *http.Request, a httpd.Answer) { told = append(told, a) })
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			if len(told) != 1 || told[0].Status != test.status || told[0].Stream != test.stream {
				t.Errorf("told %+v", told)
			}
		})
	}
}
