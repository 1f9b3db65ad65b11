package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// The fields of the Secret.
const (
	fieldCA      = "ca.crt" // all authorities to trust, the newest first
	fieldCAKey   = "ca.key" // of the newest
	fieldLeaf    = "tls.crt"
	fieldLeafKey = "tls.key"
)

// maxAuthorities bounds those in the Secret; two are the most that a rotation
// needs.
const maxAuthorities = 8

// rules say how long what lives.
type rules struct {
	names             []string // DNS names and IP addresses, the first being the common name
	authorityLifetime time.Duration
	leafLifetime      time.Duration
	spread            time.Duration
	skew              time.Duration // how far the clock of whoever checks may be behind
}

// state is what the Secret holds.
type state struct {
	authorities []*x509.Certificate // the newest first
	key         *ecdsa.PrivateKey   // of the newest authority
	leaf        *tls.Certificate    // with Leaf set
}

// parse reads what a Secret holds. Nothing at all is the zero state.
func parse(data map[string][]byte) (s state, err error) {
	if len(data[fieldCA]) == 0 && len(data[fieldLeaf]) == 0 {
		return state{}, nil
	}
	for rest := data[fieldCA]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return state{}, fmt.Errorf("%s: %w", fieldCA, err)
		}
		s.authorities = append(s.authorities, authority)
	}
	if len(s.authorities) == 0 || len(s.authorities) > maxAuthorities {
		return state{}, fmt.Errorf("%s: want 1 to %d certificates", fieldCA, maxAuthorities)
	}
	pair, err := tls.X509KeyPair(pemOf("CERTIFICATE", s.authorities[0].Raw), data[fieldCAKey])
	if err != nil {
		return state{}, fmt.Errorf("%s: %w", fieldCAKey, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !s.authorities[0].IsCA {
		return state{}, errors.New(fieldCA + ": not an authority of podid's making")
	}
	s.key = key
	leaf, err := tls.X509KeyPair(data[fieldLeaf], data[fieldLeafKey])
	if err != nil {
		return state{}, fmt.Errorf("%s: %w", fieldLeaf, err)
	}
	s.leaf = &leaf
	return s, nil
}

// data is what parse reads.
func (s state) data() (map[string][]byte, error) {
	caKey, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, err
	}
	leafKey, err := x509.MarshalPKCS8PrivateKey(s.leaf.PrivateKey)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		fieldCA: s.bundle(), fieldCAKey: pemOf("PRIVATE KEY", caKey),
		fieldLeaf: pemOf("CERTIFICATE", s.leaf.Leaf.Raw), fieldLeafKey: pemOf("PRIVATE KEY", leafKey),
	}, nil
}

// bundle is what clients have to trust.
func (s state) bundle() []byte {
	var all bytes.Buffer
	for _, a := range s.authorities {
		all.Write(pemOf("CERTIFICATE", a.Raw))
	}
	return all.Bytes()
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// next returns what is to be at that time, and whether it differs from s. A new
// authority is published for the time of spread before it signs what is
// served, and an old one for as long after: so nobody is ever served a
// certificate whose authority they do not know yet.
func (s state) next(r rules, now time.Time) (_ state, changed bool, err error) {
	if len(s.authorities) == 0 || remaining(s.authorities[0], now) < r.authorityLifetime/5 {
		if s, err = s.withAuthority(r, now); err != nil {
			return s, false, err
		}
		changed = true
	}
	if s.leafDue(r, now) {
		if s, err = s.withLeaf(r, now); err != nil {
			return s, false, err
		}
		changed = true
	}
	kept := slices.DeleteFunc(slices.Clone(s.authorities), func(a *x509.Certificate) bool {
		replaced := a != s.authorities[0] && s.signed() && now.After(s.leaf.Leaf.NotBefore.Add(r.skew+r.spread))
		return replaced || now.After(a.NotAfter)
	})
	changed = changed || len(kept) != len(s.authorities)
	s.authorities = kept
	return s, changed, nil
}

func remaining(c *x509.Certificate, now time.Time) time.Duration { return c.NotAfter.Sub(now) }

// signed tells whether the newest authority signed the leaf.
func (s state) signed() bool { return s.leaf.Leaf.CheckSignatureFrom(s.authorities[0]) == nil }

// leafDue tells whether a new leaf is to be made.
func (s state) leafDue(r rules, now time.Time) bool {
	if s.leaf == nil || now.After(s.leaf.Leaf.NotAfter) {
		return true
	}
	for _, name := range r.names {
		if s.leaf.Leaf.VerifyHostname(name) != nil {
			return true
		}
	}
	if s.signed() {
		return remaining(s.leaf.Leaf, now) < r.leafLifetime/3
	}
	known := s.authorities[0].NotBefore.Add(r.skew + r.spread)
	return !now.Before(known) || remaining(s.leaf.Leaf, now) < r.skew
}

func (s state) withAuthority(r rules, now time.Time) (state, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, err
	}
	template, err := r.newTemplate("podid", now, r.authorityLifetime)
	if err != nil {
		return s, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return s, err
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return s, err
	}
	s.authorities, s.key = append([]*x509.Certificate{made}, s.authorities...), key
	return s, nil
}

func (s state) withLeaf(r rules, now time.Time) (state, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, err
	}
	template, err := r.newTemplate(r.names[0], now, r.leafLifetime)
	if err != nil {
		return s, err
	}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range r.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.authorities[0], key.Public(), s.key)
	if err != nil {
		return s, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return s, err
	}
	s.leaf = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return s, nil
}

// maxCommonName is the upper bound ub-common-name of RFC 5280, appendix A.1.
const maxCommonName = 64

func (r rules) newTemplate(name string, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name[:min(len(name), maxCommonName)]},
		NotBefore: now.Add(-r.skew), NotAfter: now.Add(lifetime),
	}, nil
}
