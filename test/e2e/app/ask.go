package main

import (
	"io"
	"net/http"
	"os"
	"time"
)

// serveAsk asks an agent for credentials from inside the pod, with whatever
// token it is told: the body, or the pod's own where there is none.
func serveAsk(w http.ResponseWriter, r *http.Request) {
	token, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err == nil && len(token) == 0 {
		token, err = os.ReadFile(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	url := r.URL.Query().Get("url")
	if url == "" {
		url = os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request.Header.Set("Authorization", string(token))
	client := http.Client{Timeout: 2 * time.Second} // as botocore has it
	answer, err := client.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}
