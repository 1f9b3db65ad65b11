package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// longestAgo is the longest time that ParseTime goes back: a hundred years.
const longestAgo = 100 * 366 * 24 * time.Hour

// units are those of the lengths of time that time.ParseDuration does not know.
var units = map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// forms are those of dates and times, in the zone of now where they name none.
var forms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// ParseTime reads a time as people write it: "now", "today" and "yesterday", which
// are when the day began, a length of time before now such as 90m, 24h, 7d or 2w,
// and a date, with a time or without, such as 2026-11-01, "2026-11-01 14:30" or
// 2026-11-01T14:30:00Z.
func ParseTime(text string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	switch strings.ToLower(text) {
	case "now":
		return now, nil
	case "today":
		return time.Date(year, month, day, 0, 0, 0, 0, now.Location()), nil
	case "yesterday":
		return time.Date(year, month, day-1, 0, 0, 0, 0, now.Location()), nil
	}
	for _, form := range forms {
		if at, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return at, nil
		}
	}
	if ago, ok := parseAgo(text); ok && ago >= 0 && ago <= longestAgo {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%.40q is no time: want now, today, yesterday, a length of time before now such as 90m, 24h or 7d, or a date such as 2026-11-01 or 2026-11-01T14:30:00Z", text)
}

func parseAgo(text string) (time.Duration, bool) {
	if ago, err := time.ParseDuration(text); err == nil {
		return ago, true
	}
	if text == "" {
		return 0, false
	}
	unit, known := units[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
	return time.Duration(n) * unit, known && err == nil
}
