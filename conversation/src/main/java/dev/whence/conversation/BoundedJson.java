package dev.whence.conversation;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;

/**
 * JSON of others, bounded in what a tree of it takes: some 64 bytes for each name, value and
 * bracket, so that a line of 64 MiB that is full of {@code {}} would take more than a gigabyte.
 */
public final class BoundedJson {
  public static final int MAX_NESTING = 100;

  /** Names, values and brackets. */
  public static final int MAX_TOKENS = 1_000_000;

  private BoundedJson() {}

  /**
   * A mapper of single values, for whoever sets how numbers are read; nothing follows the value.
   */
  public static JsonMapper.Builder mapper() {
    return JsonMapper.builder(
            JsonFactory.builder()
                .streamReadConstraints(
                    StreamReadConstraints.builder()
                        .maxNestingDepth(MAX_NESTING)
                        .maxTokenCount(MAX_TOKENS)
                        .build())
                .build())
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
  }

  /** What a value went past, as the end of a sentence; the parser's own message may quote it. */
  public static String limits() {
    return "is too large to read as JSON: at most 20,000,000 characters in a text, "
        + MAX_NESTING
        + " levels of nesting, and 1,000,000 names, values and brackets together";
  }
}
