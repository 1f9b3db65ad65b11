//go:build linux

package link

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Holder says in words who listens at an address, or at all of the node's, on
// its port: what stands in the way of whoever is told "address already in use".
// It is empty where that cannot be found out. Processes of others are visible
// to root alone.
func Holder(at netip.AddrPort) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, s := range listeners(text) {
			if s.at.Port() != at.Port() || !s.at.Addr().IsUnspecified() && s.at.Addr() != at.Addr() {
				continue
			}
			if process := owner(s.inode); process != "" {
				return fmt.Sprintf("%s listens on %s", process, s.at)
			}
			return fmt.Sprintf("another process listens on %s", s.at)
		}
	}
	return ""
}

type listener struct {
	at    netip.AddrPort
	inode string
}

// stateListen is TCP_LISTEN in the kernel's tables
// (https://docs.kernel.org/networking/proc_net_tcp.html).
const stateListen = "0A"

// listeners reads the listening sockets out of /proc/net/tcp or tcp6. Lines
// that it does not understand are passed over.
func listeners(table []byte) []listener {
	var all []listener
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
		if len(fields) < 10 || fields[3] != stateListen {
			continue
		}
		host, port, _ := strings.Cut(fields[1], ":")
		address, err := hex.DecodeString(host)
		number, portErr := hex.DecodeString(port)
		if err != nil || portErr != nil || len(number) != 2 || len(address)%4 != 0 {
			continue
		}
		for word := range len(address) / 4 { // 32 bits each, as this machine stores them
			w := address[4*word : 4*word+4]
			w[0], w[1], w[2], w[3] = w[3], w[2], w[1], w[0]
		}
		if ip, ok := netip.AddrFromSlice(address); ok {
			all = append(all, listener{netip.AddrPortFrom(ip.Unmap(), uint16(number[0])<<8|uint16(number[1])), fields[9]})
		}
	}
	return all
}

// owner finds the process that has a socket open: "process 123 (nginx)".
func owner(inode string) string {
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, d := range descriptors {
		if to, err := os.Readlink(d); err != nil || to != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(d))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			return ""
		}
		return fmt.Sprintf("process %s (%s)", filepath.Base(process), strings.TrimSpace(string(name)))
	}
	return ""
}
