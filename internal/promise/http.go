package promise

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Path is where a replica answers polls.
const Path = "/replicas/promises"

const (
	maxPoll   = 4 << 10
	maxAnswer = 4 << 20 // room for maxKept keys, whatever JSON makes of them
)

// Handler answers at Path. It does not look who asks.
func (r *Replica) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		q, err := readPoll(http.MaxBytesReader(w, request.Body, maxPoll))
		if err != nil {
			http.Error(w, "this is no poll", http.StatusBadRequest)
			return
		}
		a, err := r.Answer(request.Context(), q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// Whoever has hung up has no promise from it, as it did not come.
		_ = json.NewEncoder(w).Encode(a)
	})
}

func readPoll(body io.Reader) (q Poll, err error) {
	err = json.NewDecoder(body).Decode(&q)
	return q, err
}

// Ask has the answer of a replica to a poll, with a client that makes sure that it is one.
func Ask(ctx context.Context, client *http.Client, to Member, q Poll) (a Answer, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+to.Address+Path, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("it answered %s", response.Status)
	}
	return readAnswer(response.Body)
}

func readAnswer(body io.Reader) (a Answer, err error) {
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return a, err
	}
	if len(text) > maxAnswer {
		return a, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return Answer{}, err
	}
	if a.Instance == "" {
		return Answer{}, fmt.Errorf("its answer names no instance")
	}
	return a, nil
}
