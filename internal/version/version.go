// Package version knows which version of the program this is.
package version

import "runtime/debug"

// Release is the version of this source tree, see CHANGELOG.md.
const Release = "0.1.0"

// Text is the release and, if known, the commit.
func Text() string {
	if c := Commit(); c != "" {
		return Release + " (" + c[:12] + ")"
	}
	return Release
}

// Commit is the commit that the program was built from, or "".
func Commit() string {
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
