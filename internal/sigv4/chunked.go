package sigv4

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// chunkReader decodes aws-chunked and verifies it on the way
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html,
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html):
//
//	SIZE[;chunk-signature=HEX]\r\n DATA \r\n ... 0[;chunk-signature=HEX]\r\n
//	[NAME:CHECKSUM\r\n] [x-amz-trailer-signature:HEX\r\n] \r\n
//
// The bytes of a chunk that does not verify are given out, all but the last;
// see wholeBody for why that is well.
type chunkReader struct {
	src    *bufio.Reader
	signer *signer // nil: chunks are not signed

	trailer  string    // the name of the checksum after the last chunk; "" if there is none
	checksum hash.Hash // of the whole body; nil if there is no trailer

	left      int64     // of the current chunk
	total     int64     // of the chunks to come, as x-amz-decoded-content-length has it
	hash      hash.Hash // of the current chunk
	signature string    // that the current chunk should have
	err       error
}

// maxLine bounds a chunk's header and a trailer, in bytes. The longest that
// AWS defines has about a hundred.
const maxLine = 1024

// maxTrailerLines bounds what may follow the last chunk. Two lines carry something.
const maxTrailerLines = 8

func newChunkReader(r *http.Request, p payload, s *signer) (*chunkReader, error) {
	c := &chunkReader{src: bufio.NewReaderSize(r.Body, maxLine), signer: s, total: p.length, hash: sha256.New()}
	if p.hash == streamingUnsignedTrailer {
		c.signer = nil
	}
	announced := r.Header.Values("X-Amz-Trailer")
	if p.hash == streamingSigned {
		if len(announced) > 0 {
			return nil, refuse(MalformedBody, "x-amz-trailer needs a trailer in x-amz-content-sha256.")
		}
		return c, nil
	}
	if len(announced) != 1 {
		return nil, refuse(MalformedBody, "Expecting a single x-amz-trailer header.")
	}
	c.trailer = strings.ToLower(strings.TrimSpace(announced[0]))
	if c.checksum = newChecksum(c.trailer); c.checksum == nil {
		return nil, refuse(MalformedBody, "The value specified in the x-amz-trailer header is not supported")
	}
	return c, nil
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err == nil && c.left == 0 {
		c.err = c.nextChunk()
	}
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.hash.Write(p[:n])
	if c.checksum != nil {
		c.checksum.Write(p[:n])
	}
	switch {
	case err != nil:
		c.err = truncated(err)
	case c.left == 0:
		c.err = c.endChunk()
	}
	if c.err != nil {
		return 0, c.err
	}
	return n, nil
}

// nextChunk reads a chunk's header. After the last chunk it returns io.EOF.
func (c *chunkReader) nextChunk() error {
	line, err := c.line()
	if err != nil {
		return truncated(err)
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 63)
	if err != nil {
		return refuse(MalformedBody, "A chunk does not begin with its size.")
	}
	if c.total -= int64(n); c.total < 0 || n == 0 && c.total > 0 {
		return refuse(MalformedBody, "The chunks do not add up to x-amz-decoded-content-length.")
	}
	c.left = int64(n)
	c.hash.Reset()
	signature, signed := strings.CutPrefix(extension, "chunk-signature=")
	if signed != (c.signer != nil) || extension != "" && !signed {
		return refuse(MalformedBody, "A chunk's header is malformed.")
	}
	c.signature = signature
	if n > 0 {
		return nil
	}
	if err := c.verifyChunk(); err != nil {
		return err
	}
	return c.readTrailer()
}

// endChunk verifies the chunk that was just read.
func (c *chunkReader) endChunk() error {
	if line, err := c.line(); err != nil || line != "" {
		if err == nil || err == io.EOF {
			err = refuse(MalformedBody, "A chunk is not as long as it says.")
		}
		return err
	}
	return c.verifyChunk()
}

func (c *chunkReader) verifyChunk() error {
	if c.signer == nil {
		return nil
	}
	want := c.signer.sign("AWS4-HMAC-SHA256-PAYLOAD", c.signer.previous, hexHash(""), hex.EncodeToString(c.hash.Sum(nil)))
	return compare(want, c.signature)
}

func compare(want, got string) error {
	if subtle.ConstantTimeCompare([]byte(want), []byte(got)) != 1 {
		return &Error{Failure: Mismatch}
	}
	return nil
}

// readTrailer reads all that follows the last chunk: the checksum that was
// announced, its signature if chunks are signed, and nothing else. Clients
// differ in where they put empty lines.
func (c *chunkReader) readTrailer() error {
	var value, signature string
	for n := 0; ; n++ {
		line, err := c.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if n == maxTrailerLines {
			return refuse(MalformedBody, "The request contained trailing data that was not well-formed or did not conform to our published schema.")
		}
		name, text, _ := strings.Cut(line, ":")
		name, text = strings.ToLower(name), strings.TrimSpace(text)
		switch {
		case line == "":
		case name == c.trailer && value == "" && text != "":
			value = text
		case name == "x-amz-trailer-signature" && c.signer != nil && c.trailer != "" && signature == "":
			signature = text
		default:
			return refuse(MalformedBody, "The request contained trailing data that was not well-formed or did not conform to our published schema.")
		}
	}
	if c.trailer == "" {
		return io.EOF
	}
	if c.signer != nil {
		want := c.signer.sign("AWS4-HMAC-SHA256-TRAILER", c.signer.previous, hexHash(c.trailer+":"+value+"\n"))
		if err := compare(want, signature); err != nil {
			return err
		}
	}
	if value != encodeChecksum(c.checksum) {
		return refuse(ChecksumMismatch, "The %s you specified did not match the calculated checksum.",
			strings.ToUpper(strings.TrimPrefix(c.trailer, checksumPrefix)))
	}
	return io.EOF
}

// line reads up to the next line's end, which it leaves out. It returns io.EOF
// only where there is no more at all.
func (c *chunkReader) line() (string, error) {
	line, err := c.src.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", refuse(MalformedBody, "A line between chunks is too long.")
	case err == io.EOF && len(line) > 0:
		return "", truncated(err)
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

// truncated turns an end that comes too early into an *Error.
func truncated(err error) error {
	if err == io.EOF {
		return refuse(MalformedBody, "The request body terminated unexpectedly.")
	}
	return err
}
