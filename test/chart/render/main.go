// Command render writes the manifests of podid's chart with a file of values,
// for those who have no Helm.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"helm.sh/helm/v4/pkg/chart/common"

	"github.com/podid/podid/test/chart"
)

func main() {
	values := flag.String("values", "", "the file of values, YAML")
	out := flag.String("o", "/dev/stdout", "the file to write")
	flag.Parse()
	if err := render(*values, *out); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func render(file, out string) error {
	values, err := common.ReadValuesFile(file)
	if err != nil {
		return err
	}
	text, err := chart.Render(context.Background(), chart.Options{Chart: "../../charts/podid", Values: values, CRDs: true})
	if err != nil {
		return err
	}
	return os.WriteFile(out, []byte(text), 0o644)
}
