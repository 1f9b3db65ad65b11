package awssim

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/podid/podid/internal/identity"
)

// sealer makes and opens session tokens: base64 of a nonce and of the session
// under AES-256-GCM, compressed so that fifty tags fit in a header. The secret
// key that belongs to a token follows from it by HMAC, so that a token says
// everything and yet nothing.
type sealer struct {
	aead      cipher.AEAD
	secretKey []byte
}

// sealedMax bounds a token, in bytes of base64, and openedMax what is inside.
const (
	sealedMax = 64 << 10
	openedMax = 256 << 10
)

var errBadToken = errors.New("not a session token of this AWS")

func newSealer(master []byte) (*sealer, error) {
	tokenKey, err := hkdf.Key(sha256.New, master, nil, "podid awssim session token", 32)
	if err != nil {
		return nil, fmt.Errorf("key of session tokens: %w", err)
	}
	secretKey, err := hkdf.Key(sha256.New, master, nil, "podid awssim session secret", 32)
	if err != nil {
		return nil, fmt.Errorf("key of session secrets: %w", err)
	}
	block, err := aes.NewCipher(tokenKey)
	if err != nil {
		return nil, fmt.Errorf("key of session tokens: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("key of session tokens: %w", err)
	}
	return &sealer{aead, secretKey}, nil
}

// seal makes the credentials of a session.
func (s *sealer) seal(se *session) (identity.Credentials, error) {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return identity.Credentials{}, fmt.Errorf("sealing a session: %w", err)
	}
	if err := json.NewEncoder(z).Encode(se); err != nil {
		return identity.Credentials{}, fmt.Errorf("sealing a session: %w", err)
	}
	if err := z.Close(); err != nil {
		return identity.Credentials{}, fmt.Errorf("sealing a session: %w", err)
	}
	token := base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, packed.Bytes(), nil))
	return identity.Credentials{
		AccessKeyID: se.AccessKeyID, SecretAccessKey: s.secretOf(token), SessionToken: identity.Secret(token), Expires: se.Expires,
	}, nil
}

// open returns the session in a token that seal made.
func (s *sealer) open(token string) (*session, error) {
	if len(token) > sealedMax {
		return nil, errBadToken
	}
	// One session has one token, since the secret follows from its text; the
	// decoder alone would pass over line breaks.
	sealed, err := base64.StdEncoding.DecodeString(token)
	if err != nil || base64.StdEncoding.EncodeToString(sealed) != token {
		return nil, errBadToken
	}
	packed, err := s.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, errBadToken
	}
	var se session
	if err := json.NewDecoder(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), openedMax)).Decode(&se); err != nil {
		return nil, errBadToken
	}
	return &se, nil
}

// secretOf returns the 40 characters of the secret key that belongs to a token.
func (s *sealer) secretOf(token string) identity.Secret {
	mac := hmac.New(sha256.New, s.secretKey)
	mac.Write([]byte(token))
	return identity.Secret(base64.StdEncoding.EncodeToString(mac.Sum(nil)[:30]))
}

// masterKey is the secret under which sessions are sealed. It is stored, so
// that sessions outlive a restart.
type masterKey struct{ Key []byte }

func newMasterKey() *masterKey {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return &masterKey{key}
}

func (*masterKey) id() (kind, key string) { return "master-key", "" }
func (*masterKey) compile() error         { return nil }
func (m *masterKey) stored() any          { return m }
