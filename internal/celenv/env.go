package celenv

import (
	"fmt"
	"runtime/debug"
	"strings"

	// For code outside expressions; expressions use the database of zones.go.
	_ "time/tzdata"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/unskew/unskew/featuredefs/plan"
)

// The versions of the extension libraries. They are part of every fingerprint, so changing
// one changes the identity of every feature.
const (
	stringsVersion  = 5
	mathVersion     = 3
	listsVersion    = 5
	setsVersion     = 0
	optionalVersion = 4
	regexVersion    = 0
	bindingsVersion = 0
)

// envRevision is the version of what the library versions do not cover: the functions left
// out, those that this package replaces, and the bounds of functions.
const envRevision = 3

// NewEnv makes an environment of Options and opts, which declare the variables
// and aggregates an expression may use.
func NewEnv(opts ...cel.EnvOption) (*cel.Env, error) {
	return cel.NewCustomEnv(append(Options(), opts...)...)
}

// Options are the pinned libraries, in order of dependency. They are for cel.NewCustomEnv (or
// NewEnv of this package): cel.NewEnv would add the whole standard library.
func Options() []cel.EnvOption {
	opts := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(standardSubset())),
		cel.OptionalTypes(cel.OptionalTypesVersion(optionalVersion)),
		ext.Strings(ext.StringsVersion(stringsVersion)),
		ext.Math(ext.MathVersion(mathVersion)),
		ext.Lists(ext.ListsVersion(listsVersion), ext.ListsMaxRangeSize(plan.MaxElements)),
		ext.Sets(ext.SetsVersion(setsVersion)),
		ext.Regex(ext.RegexVersion(regexVersion)),
		ext.Bindings(ext.BindingsVersion(bindingsVersion)),
		cel.DefaultUTCTimeZone(true),
		cel.StrictTimestampParsing(true),
		cel.CrossTypeNumericComparisons(false),
		cel.EagerlyValidateDeclarations(true),
		sortedMapFunction(),
		mapKeyFunction(),
	}
	return append(opts, zonedFunctions()...)
}

// celModule is the module path of cel-go.
const celModule = "cel.dev/cel-go"

// pinnedCEL is the version in go.mod, which TestEngine_NamesTheLinkedVersion checks. It is a
// constant because some binaries have no module information.
const pinnedCEL = "v0.33.2"

// Engine names the versions on which values depend besides the definitions.
func Engine() plan.Engine {
	libs := []string{
		fmt.Sprintf("unskew.%d", envRevision),
		fmt.Sprintf("optional.%d", optionalVersion),
		fmt.Sprintf("strings.%d", stringsVersion),
		fmt.Sprintf("math.%d", mathVersion),
		fmt.Sprintf("lists.%d", listsVersion),
		fmt.Sprintf("sets.%d", setsVersion),
		fmt.Sprintf("regex.%d", regexVersion),
		fmt.Sprintf("bindings.%d", bindingsVersion),
		"tzdata." + zoneVersion,
	}
	return plan.Engine{CEL: pinnedCEL, Env: strings.Join(libs, " ")}
}

// LinkedCEL is the version of the CEL library in the running binary, "" if the binary has no
// module information.
func LinkedCEL() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == celModule {
			if m.Replace != nil {
				return m.Replace.Version
			}
			return m.Version
		}
	}
	return ""
}
