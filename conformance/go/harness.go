// Package main runs the AWS SDK for Go v2, unmodified, against a server.
//
// Each case writes what it proved as one JSON line into the file that CONFORMANCE_RESULTS names, in
// the same form as every other suite.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// skip is the reason why a case cannot run here.
type skip string

// failure is what a failed expectation panics with; the case ends there.
type failure string

type testCase struct {
	operations string
	sentence   string
	prove      func()
}

type suite struct {
	client, encoding, service string
	cases                     []testCase
}

func (s *suite) add(operations, sentence string, prove func()) {
	s.cases = append(s.cases, testCase{operations, sentence, prove})
}

type line struct {
	Client       string   `json:"client"`
	Encoding     string   `json:"encoding"`
	Service      string   `json:"service"`
	Case         string   `json:"case"`
	Operations   []string `json:"operations"`
	Outcome      string   `json:"outcome"`
	Milliseconds int64    `json:"milliseconds"`
	Detail       string   `json:"detail,omitempty"`
}

// run runs the cases and gives how many passed, failed and were skipped.
func (s *suite) run() [3]int {
	var counts [3]int
	only := strings.ToLower(os.Getenv("CONFORMANCE_ONLY"))
	for _, one := range s.cases {
		if !strings.Contains(strings.ToLower(one.sentence+one.operations), only) {
			continue
		}
		started := time.Now()
		outcome, detail := judge(one.prove)
		counts[map[string]int{"passed": 0, "failed": 1, "skipped": 2}[outcome]]++
		write(line{s.client, s.encoding, s.service, one.sentence, strings.Fields(one.operations), outcome,
			time.Since(started).Milliseconds(), detail})
		if outcome != "passed" {
			fmt.Printf("  %s: %s %s: %s\n    %s\n", outcome, s.client, s.encoding, one.sentence, detail)
		}
	}
	return counts
}

func judge(prove func()) (outcome, detail string) {
	outcome = "passed"
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case skip:
			outcome, detail = "skipped", string(reason)
		case failure:
			outcome, detail = "failed", string(reason)
		default:
			outcome, detail = "failed", fmt.Sprintf("%v\n%s", reason, debug.Stack())
		}
	}()
	prove()
	return outcome, detail
}

func write(one line) {
	path := os.Getenv("CONFORMANCE_RESULTS")
	if path == "" {
		return
	}
	text, err := json.Marshal(one)
	must(err)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(err)
	defer file.Close()
	_, err = file.Write(append(text, '\n'))
	must(err)
}

// must ends the case when there is an error.
func must(err error) {
	if err != nil {
		panic(failure(fmt.Sprintf("%v\n%s", err, place())))
	}
}

// equal ends the case unless both are the same.
func equal[T any](found, wanted T, what string) {
	a, _ := json.Marshal(found)
	b, _ := json.Marshal(wanted)
	if string(a) != string(b) {
		panic(failure(fmt.Sprintf("%s: found %s, wanted %s\n%s", what, a, b, place())))
	}
}

// holds ends the case unless the condition holds.
func holds(condition bool, what string) {
	if !condition {
		panic(failure(what + "\n" + place()))
	}
}

// refused ends the case unless the error is the modelled one.
func refused(err error, code, fragment string) {
	var modelled smithy.APIError
	holds(errors.As(err, &modelled), fmt.Sprintf("no %s but %v", code, err))
	equal(modelled.ErrorCode(), code, "error code")
	holds(strings.Contains(modelled.ErrorMessage(), fragment), modelled.ErrorMessage())
}

// eventually polls until the probe is true, since state changes take time by contract.
func eventually(what string, seconds int, probe func() bool) {
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for !probe() {
		holds(time.Now().Before(deadline), fmt.Sprintf("not within %d s: %s", seconds, what))
		time.Sleep(20 * time.Millisecond)
	}
}

// place is the line of the suite that is to blame.
func place() string {
	for _, text := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(text, "suite.go:") || strings.Contains(text, "firehose.go:") {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

func finish(all ...[3]int) {
	var total [3]int
	for _, counts := range all {
		for index, count := range counts {
			total[index] += count
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", total[0], total[1], total[2])
	if total[1] > 0 || total[0] == 0 {
		os.Exit(1)
	}
}
