package awssim

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// nvmeTable is of CRC-64/NVME (https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-64-nvme).
var nvmeTable = crc64.MakeTable(0x9a6c9329ac4bc9b5)

// s3Digests are the headers by which a client has a body checked
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
// The checksums in trailers were checked with the signature.
var s3Digests = map[string]func() hash.Hash{
	"Content-Md5":              md5.New,
	"X-Amz-Checksum-Crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"X-Amz-Checksum-Crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"X-Amz-Checksum-Crc64nvme": func() hash.Hash { return crc64.New(nvmeTable) },
	"X-Amz-Checksum-Sha1":      sha1.New,
	"X-Amz-Checksum-Sha256":    sha256.New,
}

// checkDigests holds a body against all the digests in the header.
func checkDigests(header http.Header, body []byte) error {
	for name, newHash := range s3Digests {
		for _, value := range header.Values(name) {
			h := newHash()
			want, err := base64.StdEncoding.DecodeString(value)
			if err != nil || len(want) != h.Size() {
				if name == "Content-Md5" {
					return s3Error("InvalidDigest")
				}
				return s3Says(invalidRequest, "Value for "+strings.ToLower(name)+" header is invalid.")
			}
			h.Write(body)
			if string(h.Sum(nil)) != string(want) {
				return s3Error("BadDigest")
			}
		}
	}
	return nil
}
