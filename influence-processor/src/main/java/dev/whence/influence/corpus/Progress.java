package dev.whence.influence.corpus;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Optional;

/**
 * How far a pass over a corpus is.
 *
 * @param line the last line that was read
 * @param documents that went in
 * @param sequences pieces of documents that went in
 * @param weight N, tokens whose loss counts, each by its weight
 * @param rejected lines that are no document
 */
public record Progress(long line, long documents, long sequences, double weight, long rejected) {
  public static final Progress NONE = new Progress(0, 0, 0, 0, 0);

  /** One more document. */
  public Progress with(CorpusDocument document) {
    return new Progress(
        document.reference().line(),
        documents + 1,
        sequences + document.examples().size(),
        weight + document.weight(),
        rejected);
  }

  /** One more line that is none. */
  public Progress with(CorpusFile.Rejected bad) {
    return new Progress(bad.line(), documents, sequences, weight, rejected + 1);
  }

  /** Of two workers: their counts together. */
  public Progress plus(Progress other) {
    return new Progress(
        Math.max(line, other.line),
        documents + other.documents,
        sequences + other.sequences,
        weight + other.weight,
        rejected + other.rejected);
  }

  /**
   * How many lines are no document, for who looks at nothing but what the job says.
   *
   * @param rejects file that lists them
   * @return empty where there are none
   */
  public Optional<String> sayRejected(Path rejects) {
    return rejected == 0
        ? Optional.empty()
        : Optional.of(
            rejected + " of " + (documents + rejected) + " lines were rejected, see " + rejects);
  }

  /** As members of a JSON object. */
  public void write(ObjectNode json) {
    json.put("line", line)
        .put("documents", documents)
        .put("sequences", sequences)
        .put("weight", weight)
        .put("rejected", rejected);
  }

  /** What {@link #write} wrote. */
  public static Progress read(JsonNode json) {
    return new Progress(
        json.path("line").asLong(),
        json.path("documents").asLong(),
        json.path("sequences").asLong(),
        json.path("weight").asDouble(),
        json.path("rejected").asLong());
  }
}
