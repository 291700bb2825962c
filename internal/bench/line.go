package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Value is what was measured of one side, once for each run.
type Value struct {
	What   string    `json:"what,omitempty"` // which of several, or how it was got
	Runs   []float64 `json:"runs"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
}

func value(what string, runs ...float64) Value {
	sorted := slices.Sorted(slices.Values(runs))
	v := Value{What: what, Runs: runs}
	if n := len(sorted); n > 0 {
		v.Min, v.Max, v.Median = sorted[0], sorted[n-1], (sorted[(n-1)/2]+sorted[n/2])/2
	}
	return v
}

// Line is one line of the table.
type Line struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	Ours     Value   `json:"ours"`     // on SQLite
	Postgres Value   `json:"postgres"` // on PostgreSQL, where that makes a difference
	BridgeV2 []Value `json:"bridgev2,omitempty"`
	Ceiling  []Value `json:"ceiling,omitempty"`
	Targets  []Goal  `json:"targets,omitempty"`
	Note     string  `json:"note,omitempty"`
}

// Goal is something to be reached, and how far it was.
type Goal struct {
	Want    string  `json:"want"`
	Got     float64 `json:"got"`
	Reached bool    `json:"reached"`
}

// atLeast wants got to be no less than limit, atMost no more.
func atLeast(want string, got, limit float64) Goal { return Goal{want, got, got >= limit} }
func atMost(want string, got, limit float64) Goal  { return Goal{want, got, got <= limit} }

// per is a/b, 0 where there is no b: then nothing was measured.
func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// number prints three digits that mean something, and thousands apart.
func number(f float64) string {
	if math.Abs(f) < 100 {
		return strconv.FormatFloat(f, 'g', 3, 64)
	}
	digits := strconv.FormatFloat(math.Abs(f), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if f < 0 {
		digits = "-" + digits
	}
	return digits
}

func (v Value) String() string {
	if len(v.Runs) == 0 {
		return "-"
	}
	text := number(v.Median)
	if len(v.Runs) > 1 {
		text += fmt.Sprintf(" [%s–%s] ×%d", number(v.Min), number(v.Max), len(v.Runs))
	}
	if v.What != "" {
		text = v.What + ": " + text
	}
	return text
}

// optional is nothing where nothing was measured.
func optional(v Value) []Value {
	if len(v.Runs) == 0 {
		return nil
	}
	return []Value{v}
}

// table is all lines in Markdown.
func table(lines []Line) string {
	var b strings.Builder
	b.WriteString("| what | unit | timbridge | on PostgreSQL | bridgev2 | ceiling | target | got | |\n|---|---|---|---|---|---|---|---|---|\n")
	cell := func(values []Value) string {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.String()
		}
		return strings.Join(texts, "; ")
	}
	for _, l := range lines {
		targets := l.Targets
		if len(targets) == 0 {
			targets = []Goal{{}}
		}
		for i, t := range targets {
			got, mark := "", ""
			if t.Want != "" {
				got, mark = number(t.Got), map[bool]string{true: "yes", false: "NO"}[t.Reached]
			}
			if i == 0 {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", l.Name, l.Unit, l.Ours, cell(optional(l.Postgres)), cell(l.BridgeV2), cell(l.Ceiling), t.Want, got, mark)
			} else {
				fmt.Fprintf(&b, "| | | | | | | %s | %s | %s |\n", t.Want, got, mark)
			}
		}
	}
	return b.String()
}
