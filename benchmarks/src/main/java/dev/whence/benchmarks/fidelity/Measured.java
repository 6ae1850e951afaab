package dev.whence.benchmarks.fidelity;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What all methods gave on one prompt.
 *
 * @param prompt its id
 * @param tokens T
 * @param sources n
 * @param gemm peak before it, FLOP/s
 * @param generation seconds that the answer took; empty where it was there already
 * @param grouped what exact leave-one-out says of near-duplicates, see {@link RedundancyProbe}
 * @param subjects by name
 */
record Measured(
    String prompt,
    int tokens,
    int sources,
    double gemm,
    Optional<Double> generation,
    List<Double> grouped,
    Map<String, Given> subjects) {

  Measured(String prompt, int tokens, int sources, double gemm, Optional<Double> generation) {
    this(prompt, tokens, sources, gemm, generation, new ArrayList<>(), new TreeMap<>());
  }

  /** What one method gave, by the name of the measure. */
  record Given(Subject.Origin origin, Map<String, List<Double>> values) {
    void add(String name, Optional<Double> value) {
      value.ifPresent(v -> values.computeIfAbsent(name, key -> new ArrayList<>()).add(v));
    }
  }

  Given of(Subject subject) {
    return subjects.computeIfAbsent(
        subject.name(), name -> new Given(subject.origin(), new TreeMap<>()));
  }
}
