package sigv4

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// checksumPrefix begins the names of S3's checksums
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
const checksumPrefix = "x-amz-checksum-"

// nvme is the polynomial of CRC-64/NVME, reversed
// (https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-64-nvme).
const nvme = 0x9a6c9329ac4bc9b5

// newChecksum returns the hash for the header of the given name, in lower
// case; nil if S3 has no such checksum.
func newChecksum(name string) hash.Hash {
	switch name {
	case checksumPrefix + "crc32":
		return crc32.NewIEEE()
	case checksumPrefix + "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case checksumPrefix + "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case checksumPrefix + "sha1":
		return sha1.New()
	case checksumPrefix + "sha256":
		return sha256.New()
	}
	return nil
}

func encodeChecksum(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }
