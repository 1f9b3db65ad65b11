package awswire

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Timestamp is a time in REST-JSON: seconds since 1970 with the milliseconds
// as a fraction, 1700862734.922
// (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#timestamp-formats).
type Timestamp time.Time

// IsZero serves json's omitzero.
func (t Timestamp) IsZero() bool { return time.Time(t).IsZero() }

// MarshalJSON writes the number.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	if ms < 0 {
		return nil, fmt.Errorf("timestamp %v is before 1970", time.Time(t))
	}
	return fmt.Appendf(nil, "%d.%03d", ms/1000, ms%1000), nil
}

// UnmarshalJSON reads a number of seconds, to the millisecond.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(seconds) > maxSeconds {
		return fmt.Errorf("%.40q is not a time in seconds since 1970", b)
	}
	*t = Timestamp(time.UnixMilli(int64(math.Round(seconds * 1000))).UTC())
	return nil
}

// maxSeconds is the end of the year 9999, the last that the other formats can write.
const maxSeconds = 253402300799

// ISOTime is a time in Query replies: 2026-03-17T22:27:34Z
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html).
type ISOTime time.Time

// IsZero tells whether the time is unset.
func (t ISOTime) IsZero() bool { return time.Time(t).IsZero() }

// MarshalText writes the time in UTC, to the second.
func (t ISOTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}
