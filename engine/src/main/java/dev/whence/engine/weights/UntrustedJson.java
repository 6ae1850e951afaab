package dev.whence.engine.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;

/** JSON of a model's files: bounded in size and nesting, duplicate keys refused. */
public final class UntrustedJson {
  /** The largest tokenizer.json in the wild has about 40 MB. */
  static final long MAX_BYTES = 256L << 20;

  private static final int MAX_NESTING = 64;

  private static final ObjectMapper JSON =
      new ObjectMapper(
          JsonFactory.builder()
              .streamReadConstraints(
                  StreamReadConstraints.builder()
                      .maxNestingDepth(MAX_NESTING)
                      .maxStringLength(16 << 20)
                      .maxNumberLength(64)
                      .maxNameLength(64 << 10)
                      .build())
              .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
              .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
              .build());

  private UntrustedJson() {}

  /** Refuses duplicate keys, deep nesting and giant strings. */
  public static ObjectMapper mapper() {
    return JSON;
  }

  /** Parses one JSON object; the origin names it in errors. */
  public static JsonNode object(byte[] bytes, String origin) {
    try {
      return checked(JSON.readTree(bytes), origin);
    } catch (IOException e) {
      throw refused(e, origin);
    }
  }

  static JsonNode object(InputStream in, String origin) {
    try {
      return checked(JSON.readTree(in), origin);
    } catch (IOException e) {
      throw refused(e, origin);
    }
  }

  /** Reads a file of at most {@link #MAX_BYTES}. */
  public static byte[] bytes(Path path) {
    try (BoundedFile file = BoundedFile.open(path)) {
      if (file.size() > MAX_BYTES) {
        throw file.refuse("has " + file.size() + " bytes, more than the " + MAX_BYTES + " allowed");
      }
      byte[] bytes = new byte[(int) file.size()];
      file.read(0, java.nio.ByteBuffer.wrap(bytes));
      return bytes;
    }
  }

  private static JsonNode checked(JsonNode node, String origin) {
    if (!node.isObject()) {
      throw new EngineException(Kind.MODEL, origin + " is not a JSON object");
    }
    return node;
  }

  private static EngineException refused(IOException e, String origin) {
    String where =
        e instanceof JsonProcessingException json && json.getLocation() != null
            ? ", byte " + json.getLocation().getByteOffset()
            : "";
    String what = e instanceof JsonProcessingException json ? json.getOriginalMessage() : "" + e;
    return new EngineException(Kind.MODEL, origin + where + ": not valid JSON: " + what, e);
  }
}
