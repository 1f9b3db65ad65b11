package main

import (
	"slices"
	"time"
)

// latencies are how long answers took.
type latencies []time.Duration

// at returns the quantile q, from 0 to 1: of n latencies the one that the part
// q of them does not exceed.
func (l latencies) at(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	slices.Sort(l)
	return l[min(int(q*float64(len(l))), len(l)-1)]
}

func median[T int64 | float64 | time.Duration](all []T) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
