package devenv

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// profilesFile is where the AWS CLI's profiles for an env file are written.
func profilesFile(envFile string) (string, error) { return filepath.Abs(envFile + ".profiles") }

// profiles is a configuration file of the AWS CLI and SDKs with one profile for
// each account's administrator, named by the account's id
// (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
func (i *Info) profiles() string {
	var b strings.Builder
	b.WriteString("# written by podid dev: one profile for each account, for --profile ACCOUNT\n")
	for _, id := range slices.Sorted(maps.Keys(i.administrators)) {
		own := i.administrators[id]
		fmt.Fprintf(&b, "\n[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %s\nendpoint_url = %s\n",
			id, own.AccessKeyID, own.SecretAccessKey.Reveal(), i.Cluster.Region, i.URL)
	}
	return b.String()
}

// writeEnvFile writes the profiles, and then the env file that points to them.
func (i *Info) writeEnvFile(path string) error {
	profiles, err := profilesFile(path)
	if err != nil {
		return err
	}
	if err := replaceFile(profiles, []byte(i.profiles())); err != nil {
		return err
	}
	return replaceFile(path, []byte(shellExports(append(i.Env(), envConfigFile+"="+profiles))))
}
