package main

import "runtime/debug"

// release is the version of this source tree, see CHANGELOG.md.
const release = "0.1.0"

// version returns the release and, if known, the commit.
func version() string {
	if c := commit(); c != "" {
		return release + " (" + c[:12] + ")"
	}
	return release
}

// commit returns the commit that the program was built from, or "".
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
