//go:build linux

package link

import "testing"

// FuzzListeners holds that no table of sockets breaks its reader.
func FuzzListeners(f *testing.F) {
	f.Add([]byte("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 17AAFEA9:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16217 1 000 100 0 0 10 0\n"))
	f.Add([]byte("   0: 0000000000000000FFFF00000100007F:0050 0:0 0A 0 0 0 0 0 1 2"))
	f.Add([]byte("a b:c d 0A e f g h i j k"))
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, l := range listeners(table) {
			if !l.at.IsValid() || l.inode == "" {
				t.Errorf("%+v", l)
			}
		}
	})
}

func TestListeners(t *testing.T) {
	const line = "   0: 17AAFEA9:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16217 1 000 100 0 0 10 0\n"
	got := listeners([]byte(line))
	if len(got) != 1 || got[0].at.String() != "169.254.170.23:80" || got[0].inode != "16217" {
		t.Errorf("got %v", got)
	}
}
