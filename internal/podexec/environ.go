package podexec

import (
	"os"
	"strings"
)

// environ removes every AWS and podid setting from the environment, and adds a
// pod's. The shared files are pointed away: they come before the container
// credentials in the SDKs' default chain.
func (c Config) environ(tokenFile string) []string {
	var env []string
	for _, v := range c.Environ {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "PODID_") {
			env = append(env, v)
		}
	}
	env = append(env,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI="+c.Credentials,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+tokenFile,
		"AWS_REGION="+c.Region,
		"AWS_DEFAULT_REGION="+c.Region,
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
	if c.Endpoint != "" {
		env = append(env, "AWS_ENDPOINT_URL="+c.Endpoint)
	}
	return env
}
