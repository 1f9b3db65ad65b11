package devenv

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/identity"
)

// keyring holds the access keys that development mode itself works with. With
// a data folder they are kept there, beside the state that knows them.
type keyring struct {
	Administrators map[string]key // by account id
	Nodes          map[string]key // by account id, where there are clusters
	Service        key            // stands for pods.eks.amazonaws.com
}

type key struct{ ID, Secret string }

// String redacts; a keyring's only way out is its file.
func (k key) String() string { return k.ID }

func (k key) awssim() awssim.AccessKey {
	return awssim.AccessKey{ID: k.ID, Secret: identity.Secret(k.Secret)}
}

func newKey() key {
	return key{ID: "AKIA" + rand.Text()[:16], Secret: randomSecret()}
}

// randomSecret is 40 characters, as AWS's secret keys are.
func randomSecret() string {
	var b [30]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// loadKeys reads the keyring of dir, adds the keys that the world needs and it
// has not, and stores it. dir "" keeps nothing.
func loadKeys(dir string, w *World) (*keyring, error) {
	k := &keyring{Administrators: map[string]key{}, Nodes: map[string]key{}, Service: newKey()}
	path := filepath.Join(dir, "keys.json")
	if dir != "" {
		text, err := os.ReadFile(path)
		switch {
		case err == nil:
			if err := json.Unmarshal(text, k); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	for _, a := range w.Accounts {
		if _, ok := k.Administrators[a.ID]; !ok {
			k.Administrators[a.ID] = newKey()
		}
	}
	for _, c := range w.Clusters {
		if _, ok := k.Nodes[c.Account]; !ok {
			k.Nodes[c.Account] = newKey()
		}
	}
	if dir == "" {
		return k, nil
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, err
	}
	return k, replaceFile(path, append(text, '\n'))
}

// replaceFile writes a file that its owner alone may read, in one step: a
// reader sees the old content or the new.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".podid-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
