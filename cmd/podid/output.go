package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag adds -o with the formats that machines read; none is for people.
func outputFlag(cmd *cobra.Command, value *string, formats ...string) {
	cmd.Flags().StringVarP(value, "output", "o", "", "output for machines: "+strings.Join(formats, " or "))
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *value != "" && !slices.Contains(formats, *value) {
			return fmt.Errorf("--output %q: want %s, or leave it out", *value, strings.Join(formats, " or "))
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return formats, cobra.ShellCompDirectiveNoFileComp
	}
	// The flag was added above, which is all that this call could complain of.
	_ = cmd.RegisterFlagCompletionFunc("output", complete)
}

// write prints v in the format asked for, or calls readable.
func write(w io.Writer, format string, v any, readable func() error) error {
	var text []byte
	var err error
	switch format {
	case "json":
		text, err = json.MarshalIndent(v, "", "  ")
		text = append(text, '\n')
	case "yaml":
		text, err = yaml.Marshal(v)
	default:
		return readable()
	}
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
