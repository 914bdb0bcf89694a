package main

import "runtime/debug"

// release is the version of this source tree; CHANGELOG.md says what is in it.
const release = "0.1.0"

// version is the release and, when the build knows it, the commit.
func version() string {
	if c := commit(); c != "" {
		return release + " (" + c[:12] + ")"
	}
	return release
}

// commit is what the program was built from, "" when the build does not know.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value
		}
	}
	return ""
}
