package awssim

import (
	"strings"

	"github.com/rclone/gofakes3"
)

// listPage returns what a listing shows of keys in ascending order: those that
// begin with prefix and come after marker, at most limit (0: all). Where a
// delimiter is given, keys that share everything up to the first one after the
// prefix are one entry, a common prefix
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html).
//
// It takes the place of the library's, which ignores delimiters at the start of
// a key: there a caller allowed to list "home/" sees "/home/" too.
func listPage(all []*gofakes3.Content, prefix, delimiter, marker string, limit int64) *gofakes3.ObjectList {
	list := gofakes3.NewObjectList()
	last := "" // the entry before, where it is a common prefix
	count := int64(0)
	for _, c := range all {
		rest, ok := strings.CutPrefix(c.Key, prefix)
		if !ok || marker != "" && c.Key <= marker {
			continue
		}
		entry, common := c.Key, false
		if delimiter != "" {
			if i := strings.Index(rest, delimiter); i >= 0 {
				entry, common = prefix+rest[:i+len(delimiter)], true
			}
		}
		if common && (entry == last || entry == marker) {
			continue
		}
		if limit > 0 && count == limit {
			list.IsTruncated = true
			return list
		}
		count++
		list.NextMarker = entry
		if last = ""; common {
			last = entry
			list.AddPrefix(entry)
		} else {
			list.Add(c)
		}
	}
	list.NextMarker = "" // there is no next page
	return list
}
