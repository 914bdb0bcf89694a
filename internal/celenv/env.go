package celenv

import (
	"fmt"
	"runtime/debug"
	"strings"

	// For code outside expressions; zones in expressions come from zones.go.
	_ "time/tzdata"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/unskew/unskew/featuredefs/plan"
)

// The versions of the extension libraries. They enter every fingerprint, so a
// change here is a change of every feature's identity.
const (
	stringsVersion  = 5
	mathVersion     = 3
	listsVersion    = 5
	setsVersion     = 0
	optionalVersion = 4
	regexVersion    = 0
	bindingsVersion = 0
)

// envRevision numbers what the library versions do not say: the functions left
// out, the ones this package replaces, and the bounds of functions.
const envRevision = 3

// MaxRange is the length of the longest list that lists.range makes.
const MaxRange = 1000

// NewEnv makes an environment of Options and opts, which declare the variables
// and aggregates an expression may use.
func NewEnv(opts ...cel.EnvOption) (*cel.Env, error) {
	return cel.NewCustomEnv(append(Options(), opts...)...)
}

// Options are the pinned libraries, in the order they depend on each other. They
// need an environment made by cel.NewCustomEnv (or NewEnv of this package):
// cel.NewEnv would bring the whole standard library along and silently keep it.
func Options() []cel.EnvOption {
	opts := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(standardSubset())),
		cel.OptionalTypes(cel.OptionalTypesVersion(optionalVersion)),
		ext.Strings(ext.StringsVersion(stringsVersion)),
		ext.Math(ext.MathVersion(mathVersion)),
		ext.Lists(ext.ListsVersion(listsVersion), ext.ListsMaxRangeSize(MaxRange)),
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

// celModule is the module whose version decides values.
const celModule = "cel.dev/cel-go"

// pinnedCEL is the version go.mod requires; TestEngine_NamesTheLinkedVersion
// keeps it true. Binaries built without module information report it.
const pinnedCEL = "v0.33.2"

// Engine names what besides the definitions decides values.
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

// LinkedCEL is the version of the CEL library in the running binary, "" when
// the binary carries no module information.
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
