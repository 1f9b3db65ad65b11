package main

import "testing"

func TestFullName(t *testing.T) {
	for short, want := range map[string]string{
		"podid:dev":                              "docker.io/library/podid:dev",
		"me/podid:v1.2.3":                        "docker.io/me/podid:v1.2.3",
		"registry.example/podid/podid-agent:v1":  "registry.example/podid/podid-agent:v1",
		"localhost:5000/podid:v1":                "localhost:5000/podid:v1",
		"podid.test/podid:1":                     "podid.test/podid:1",
		"podid":                                  "docker.io/library/podid:latest",
		"Podid:v1":                               "",
		"podid@sha256:0123456789abcdef012345678": "",
	} {
		got, err := fullName(short)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", short, got, err)
		}
	}
}
