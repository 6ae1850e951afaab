package dev.whence.benchmarks;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;

/** What a benchmark measured: a record of plain records. */
public interface Report {
  /** Tables that read well in a terminal and in Markdown. */
  String markdown();

  /**
   * As an evidence file.
   *
   * @param command that gives the figures again
   */
  EvidenceFile evidence(String command);

  /** One JSON object. */
  default String json() {
    try {
      return new ObjectMapper().registerModule(new Jdk8Module()).writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a report of plain records is always JSON", e);
    }
  }
}
