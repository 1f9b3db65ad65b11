// Command programs builds programs of Kubernetes into the user's cache, so that
// tests find them there: programs [RELEASE/]PROGRAM...
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/podid/podid/test/kubernetes/cluster"
)

func main() {
	for _, name := range os.Args[1:] {
		release, program, found := strings.Cut(name, "/")
		if !found {
			release, program = string(cluster.Newest), name
		}
		file, err := cluster.Build(cluster.Release(release), cluster.Program(program))
		if err != nil {
			fmt.Fprintln(os.Stderr, "test/kubernetes:", err)
			os.Exit(1)
		}
		fmt.Println(file)
	}
}
