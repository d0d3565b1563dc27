package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The files in deploy/ set what can be set, and start the server with a command that there is.
func TestDeploySettings(t *testing.T) {
	for _, settings := range []string{deployFile(t, "systemd/postern.yaml"), configMap(t)} {
		c, err := loadConfig(t, nil, map[string]string{"POSTERN_DATABASE": "postgres://db/postern"}, settings)
		if err != nil {
			t.Error(err)
		}
		if c.Data != "/var/lib/postern" || c.PublicURL == "" || c.GatewayURL == "" || len(c.TrustedProxy) == 0 {
			t.Errorf("the settings say %+v", c)
		}
	}
	known := map[string]bool{}
	new(Config).each(func(name string, _ reflect.StructField, _ reflect.Value) error {
		known[envName(name)], known[envName(name)+"_FILE"] = true, true
		return nil
	})
	for _, file := range []string{"systemd/postern.service", "docker/Dockerfile", "kubernetes/postern.yaml", "kubernetes/postern-one.yaml"} {
		names := variableForm.FindAllString(deployFile(t, file), -1)
		for _, v := range names {
			if !known[v] {
				t.Errorf("%s sets %s, which nothing reads", file, v)
			}
		}
		if len(names) == 0 {
			t.Errorf("%s sets nothing", file)
		}
	}
}

// configMap is the settings' file in the manifests of Kubernetes.
func configMap(t *testing.T) string {
	t.Helper()
	for _, doc := range manifests(t, "kubernetes/postern.yaml") {
		if doc["kind"] == "ConfigMap" {
			return doc["data"].(map[string]any)["postern.yaml"].(string)
		}
	}
	t.Fatal("there is no ConfigMap")
	return ""
}

func manifests(t *testing.T, file string) (out []map[string]any) {
	t.Helper()
	for _, text := range strings.Split(deployFile(t, file), "\n---\n") {
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, doc)
	}
	return out
}

var execStart = regexp.MustCompile(`(?m)^ExecStart=.*/usr/local/bin/postern ([^'\n]*)'?$`)

// What units and containers start is a command that can be run as it stands.
func TestDeployCommands(t *testing.T) {
	seen := 0
	units, err := filepath.Glob(filepath.Join(repository, "deploy/systemd/*.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		for _, m := range execStart.FindAllStringSubmatch(deployFile(t, "systemd/"+filepath.Base(unit)), -1) {
			seen++
			if err := parses(words(m[1]), true); err != nil {
				t.Errorf("%s: %v", unit, err)
			}
		}
	}
	for _, file := range []string{"kubernetes/postern.yaml", "kubernetes/postern-one.yaml"} {
		for _, doc := range manifests(t, file) {
			if doc["kind"] != "StatefulSet" {
				continue
			}
			pod := doc["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
			var args []string
			for _, a := range pod["containers"].([]any)[0].(map[string]any)["args"].([]any) {
				args = append(args, a.(string))
			}
			seen++
			if err := parses(args, true); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if seen < 3 {
		t.Errorf("found %d commands", seen)
	}
}
