package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// config is the file of saved logins. It holds secrets: only its owner can read it.
type config struct {
	Current  string             `json:"current"`
	Profiles map[string]profile `json:"profiles"`
}

// profile is a saved login.
type profile struct {
	Server    string `json:"server"`
	Secret    string `json:"secret"`
	KeyID     string `json:"keyId,omitempty"`
	Account   string `json:"account,omitempty"`
	Member    string `json:"member,omitempty"`
	AllowHTTP bool   `json:"allowHttp,omitempty"`
}

const defaultProfile = "default"

// configPath is where logins are saved.
func (a *app) configPath() (string, error) {
	dir := a.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := a.Getenv("HOME")
		if home == "" {
			home = a.Getenv("USERPROFILE")
		}
		if home == "" {
			return "", usagef("There is no home directory to keep logins in. Set XDG_CONFIG_HOME, or POSTERN_SERVER and POSTERN_SECRET_FILE.")
		}
		dir = filepath.Join(home, ".config")
	}
	if !filepath.IsAbs(dir) {
		return "", usagef("XDG_CONFIG_HOME must be an absolute path.")
	}
	return filepath.Join(dir, "postern", "config.json"), nil
}

// readConfig reads the saved logins; none if there is no file.
func (a *app) readConfig() (config, error) {
	c := config{Profiles: map[string]profile{}}
	path, err := a.configPath()
	if err != nil {
		return c, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read logins: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, fmt.Errorf("read logins: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return c, exit(ExitNotPermitted, errorf("Others can read or change %s, which holds secrets (mode %04o). Make it yours with: chmod 600 %s",
			path, info.Mode().Perm(), path))
	}
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		// Not the decoder's words: they may repeat a piece of the file.
		return c, errorf("%s can't be read as JSON. Correct it, or remove it and sign in again.", path)
	}
	if c.Profiles == nil {
		c.Profiles = map[string]profile{}
	}
	return c, nil
}

// writeConfig puts the logins in the place of the file as a whole, so that none is half written.
func (a *app) writeConfig(c config) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("save login: %w", err)
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(path, append(b, '\n')); err != nil {
		return fmt.Errorf("save login: %w", err)
	}
	return nil
}

// replaceFile writes a file for its owner alone, whole or not at all, also where the
// power fails.
func replaceFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".postern-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // not every file system syncs directories
	return nil
}

// profileName is the login that is asked for: by flag, by variable, or the current one.
func (a *app) profileName(flag string, c config) string {
	for _, name := range []string{flag, a.Getenv("POSTERN_PROFILE"), c.Current} {
		if name != "" {
			return name
		}
	}
	return defaultProfile
}

// checkProfileName keeps names to what is easy to type and to show.
func checkProfileName(name string) error {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "" {
		return usagef("A profile's name has 1 to 64 letters, digits, dots, hyphens and underscores.")
	}
	return nil
}
