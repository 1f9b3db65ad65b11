package policy

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
)

// What fills the packed size, in compressed bytes. AWS publishes neither its
// format nor its limit. With these, the six tags of EKS take a little more than
// half, as AWS's samples show, and 2,048 characters of ordinary policy fit.
const (
	packedPolicies = 1024
	packedTags     = 320
)

// PackedSize estimates how much of the room for session policies and session
// tags is taken, in percent. policies are documents and ARNs; tags are keys,
// values and the keys that are transitive
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, PackedPolicySize).
func PackedSize(policies, tags []string) (int, error) {
	percent := 0
	for _, part := range []struct {
		texts []string
		room  int
	}{{policies, packedPolicies}, {tags, packedTags}} {
		size, err := compressedSize(part.texts)
		if err != nil {
			return 0, err
		}
		percent += (size*100 + part.room - 1) / part.room
	}
	return percent, nil
}

func compressedSize(texts []string) (int, error) {
	text := strings.Join(texts, "\x00")
	if text == "" {
		return 0, nil
	}
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return 0, fmt.Errorf("packed size: %w", err)
	}
	io.WriteString(z, text) // a bytes.Buffer takes every write
	if err := z.Close(); err != nil {
		return 0, fmt.Errorf("packed size: %w", err)
	}
	return packed.Len(), nil
}
