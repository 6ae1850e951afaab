package dev.whence.attribution;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.attribution.AttributionResult.Cost;
import dev.whence.attribution.AttributionResult.Reasoning;
import dev.whence.attribution.AttributionResult.SourceGroup;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.attribution.AttributionResult.TokenScore;
import dev.whence.conversation.Span;
import dev.whence.engine.ScorerDescription;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * Attribution results as JSON, one object on one line, the same fields in the same order for every
 * status. Absent numbers are null; NaN and infinities are never written. Log-likelihoods and tau
 * are in nats, positions in UTF-16 code units.
 */
public final class AttributionJson {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private final int topSources;
  private final boolean tokenLogProbs;

  /** All sources, no tokens. */
  public AttributionJson() {
    this(0, false);
  }

  /**
   * @param topSources only so many sources with the largest tau are written, in order of the
   *     prompt, with {@code truncated} set if some were left out; 0 for all
   * @param tokenLogProbs whether {@code tokens} are written
   */
  public AttributionJson(int topSources, boolean tokenLogProbs) {
    if (topSources < 0) {
      throw new IllegalArgumentException("the number of top sources is " + topSources);
    }
    this.topSources = topSources;
    this.tokenLogProbs = tokenLogProbs;
  }

  /** Writes a result on one line. */
  public String write(AttributionResult result) {
    StringWriter text = new StringWriter();
    try (JsonGenerator json = MAPPER.createGenerator(text)) {
      write(result, json);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  private void write(AttributionResult result, JsonGenerator json) throws IOException {
    List<Integer> kept = kept(result.sources());
    json.writeStartObject();
    json.writeStringField("responseId", result.responseId());
    json.writeStringField("status", result.status().name());
    json.writeStringField("reasonCode", result.reasonCode());
    json.writeStringField("reason", result.reason());
    json.writeStringField("phase", "FINAL");
    json.writeNumberField("revision", 0);
    json.writeStringField("method", result.method());
    writeScorer(result, json);
    json.writeNumberField("promptTokens", result.promptTokens());
    json.writeNumberField("responseTokens", result.responseTokens());
    json.writeBooleanField("endTokenScored", result.endTokenScored());
    writeNats(json, "logLikelihood", result.logLikelihood());
    writeNats(json, "logLikelihoodWithoutContext", result.logLikelihoodWithoutContext());
    writeNats(json, "groundedness", result.groundedness());
    writeNats(json, "groundednessPerToken", result.groundednessPerToken());
    writeNats(json, "noiseFloor", result.noiseFloor());
    boolean reasoned = result.reasoning().isPresent();
    writeReasoning(result.reasoning(), json);
    json.writeArrayFieldStart("sources");
    for (int i : kept) {
      writeSource(result.sources().get(i), reasoned, json);
    }
    json.writeEndArray();
    json.writeArrayFieldStart("leftOut");
    for (SourcePlace source : result.leftOut()) {
      json.writeStartObject();
      json.writeStringField("segment", source.segment());
      writeSpan(json, source.span());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeArrayFieldStart("groups");
    for (SourceGroup group : result.groups()) {
      if (kept.containsAll(group.sources())) {
        json.writeStartObject();
        json.writeArrayFieldStart("sources");
        for (int source : group.sources()) {
          json.writeNumber(kept.indexOf(source));
        }
        json.writeEndArray();
        writeNumber(json, "tau", group.tau());
        if (reasoned) {
          writeNats(json, "reasoningTau", group.reasoningTau());
        }
        json.writeEndObject();
      }
    }
    json.writeEndArray();
    json.writeArrayFieldStart("statements");
    for (Statement statement : result.statements()) {
      json.writeStartObject();
      writeSpan(json, statement.span());
      writeNumber(json, "logLikelihood", statement.logLikelihood());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeArrayFieldStart("matrix");
    if (!result.matrix().isEmpty()) {
      for (int i : kept) {
        json.writeStartArray();
        for (double tau : result.matrix().get(i)) {
          json.writeNumber(finite("matrix", tau));
        }
        json.writeEndArray();
      }
    }
    json.writeEndArray();
    json.writeArrayFieldStart("flags");
    for (String flag : result.flags()) {
      json.writeString(flag);
    }
    json.writeEndArray();
    json.writeNumberField("retokenizedBranches", result.retokenizedBranches());
    json.writeBooleanField(
        "truncated", result.truncated() || kept.size() < result.sources().size());
    json.writeObjectFieldStart("cost");
    json.writeNumberField("trunkTokens", result.cost().trunkTokens());
    json.writeNumberField("branchTokens", result.cost().branchTokens());
    writeNumber(json, "passes", result.cost().passes());
    writeNumber(json, "seconds", result.cost().seconds());
    writeNumber(json, "flops", result.cost().flops());
    json.writeEndObject();
    if (tokenLogProbs) {
      json.writeArrayFieldStart("tokens");
      for (TokenScore token : result.tokens()) {
        json.writeStartObject();
        writeSpan(json, token.span());
        writeNumber(json, "logProb", token.logProb());
        json.writeEndObject();
      }
      json.writeEndArray();
    }
    json.writeEndObject();
  }

  private List<Integer> kept(List<SourceScore> sources) {
    IntStream all = IntStream.range(0, sources.size());
    if (topSources == 0 || sources.size() <= topSources) {
      return all.boxed().toList();
    }
    return all.boxed()
        .sorted(Comparator.comparingDouble(i -> -sources.get(i).tau()))
        .limit(topSources)
        .sorted()
        .toList();
  }

  private static void writeScorer(AttributionResult result, JsonGenerator json) throws IOException {
    ScorerDescription scorer = result.scorer();
    if (scorer == null) {
      json.writeNullField("scorer");
      return;
    }
    json.writeObjectFieldStart("scorer");
    json.writeStringField("model", scorer.model());
    json.writeStringField("digest", scorer.digest());
    json.writeStringField("dtype", scorer.dtype());
    json.writeStringField("device", scorer.device());
    json.writeBooleanField("surrogate", result.surrogate());
    json.writeEndObject();
  }

  private static void writeReasoning(Optional<Reasoning> scored, JsonGenerator json)
      throws IOException {
    if (scored.isEmpty()) {
      json.writeNullField("reasoning");
      return;
    }
    Reasoning reasoning = scored.get();
    json.writeObjectFieldStart("reasoning");
    json.writeNumberField("tokens", reasoning.tokens());
    writeNumber(json, "logLikelihood", reasoning.logLikelihood());
    writeNats(json, "logLikelihoodWithoutContext", reasoning.logLikelihoodWithoutContext());
    writeNats(json, "groundedness", reasoning.groundedness());
    writeNats(json, "groundednessPerToken", reasoning.groundednessPerToken());
    writeNumber(json, "noiseFloor", reasoning.noiseFloor());
    json.writeEndObject();
  }

  private static void writeSource(SourceScore source, boolean reasoned, JsonGenerator json)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("segment", source.segment());
    writeSpan(json, source.span());
    json.writeStringField("text", source.text());
    writeNumber(json, "tau", source.tau());
    if (reasoned) {
      writeNats(json, "reasoningTau", source.reasoningTau());
    }
    json.writeBooleanField("exact", source.exact());
    json.writeStringField("method", source.method());
    json.writeStringField("scorer", source.scorer());
    json.writeStringField("context", source.context());
    json.writeEndObject();
  }

  private static void writeSpan(JsonGenerator json, Span span) throws IOException {
    json.writeNumberField("start", span.start());
    json.writeNumberField("end", span.end());
  }

  private static void writeNats(JsonGenerator json, String name, OptionalDouble value)
      throws IOException {
    if (value.isPresent()) {
      writeNumber(json, name, value.getAsDouble());
    } else {
      json.writeNullField(name);
    }
  }

  private static void writeNumber(JsonGenerator json, String name, double value)
      throws IOException {
    json.writeNumberField(name, finite(name, value));
  }

  private static double finite(String name, double value) {
    if (!Double.isFinite(value)) {
      throw new IllegalArgumentException(name + " is " + value + ", which JSON can not hold");
    }
    return value;
  }

  /**
   * Reads what {@link #write} wrote. What the JSON does not hold is empty: of the scorer its
   * family, size and aliases.
   *
   * @throws IllegalArgumentException if the text is not such an object; the message names the field
   */
  public static AttributionResult read(String text) {
    JsonNode json;
    try {
      json = MAPPER.readTree(text);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(
          "an attribution is not JSON at line " + e.getLocation().getLineNr(), e);
    }
    JsonNode cost = field(json, "cost");
    JsonNode scorer = field(json, "scorer");
    return new AttributionResult(
        field(json, "responseId").asText(),
        AttributionStatus.valueOf(field(json, "status").asText()),
        field(json, "reasonCode").asText(),
        field(json, "reason").asText(),
        field(json, "method").asText(),
        scorer.isNull()
            ? null
            : new ScorerDescription(
                field(scorer, "model").asText(),
                field(scorer, "digest").asText(),
                field(scorer, "dtype").asText(),
                field(scorer, "device").asText(),
                "",
                0,
                0,
                false,
                0,
                List.of()),
        !scorer.isNull() && field(scorer, "surrogate").asBoolean(),
        field(json, "promptTokens").asInt(),
        field(json, "responseTokens").asInt(),
        field(json, "endTokenScored").asBoolean(),
        nats(json, "logLikelihood"),
        nats(json, "logLikelihoodWithoutContext"),
        nats(json, "noiseFloor"),
        reasoning(json.path("reasoning")),
        sources(field(json, "sources")),
        places(json.path("leftOut")),
        groups(json.path("groups")),
        statements(field(json, "statements")),
        matrix(field(json, "matrix")),
        json.has("tokens") ? tokens(field(json, "tokens")) : List.of(),
        flags(json.path("flags")),
        field(json, "retokenizedBranches").asInt(),
        field(json, "truncated").asBoolean(),
        new Cost(
            field(cost, "trunkTokens").asLong(),
            field(cost, "branchTokens").asLong(),
            field(cost, "passes").asDouble(),
            field(cost, "seconds").asDouble(),
            field(cost, "flops").asDouble()));
  }

  private static Optional<Reasoning> reasoning(JsonNode json) {
    return json.isObject()
        ? Optional.of(
            new Reasoning(
                field(json, "tokens").asInt(),
                field(json, "logLikelihood").asDouble(),
                nats(json, "logLikelihoodWithoutContext"),
                field(json, "noiseFloor").asDouble()))
        : Optional.empty();
  }

  /** Is written only where there is reasoning. */
  private static OptionalDouble reasoningTau(JsonNode json) {
    return json.has("reasoningTau") ? nats(json, "reasoningTau") : OptionalDouble.empty();
  }

  private static List<SourceScore> sources(JsonNode array) {
    List<SourceScore> sources = new ArrayList<>();
    for (JsonNode json : array) {
      sources.add(
          new SourceScore(
              field(json, "segment").asText(),
              span(json),
              field(json, "text").asText(),
              field(json, "tau").asDouble(),
              reasoningTau(json),
              field(json, "exact").asBoolean(),
              field(json, "method").asText(),
              field(json, "scorer").asText(),
              field(json, "context").asText()));
    }
    return sources;
  }

  private static List<SourcePlace> places(JsonNode array) {
    List<SourcePlace> places = new ArrayList<>();
    for (JsonNode json : array) {
      places.add(new SourcePlace(field(json, "segment").asText(), span(json)));
    }
    return places;
  }

  private static List<String> flags(JsonNode array) {
    List<String> flags = new ArrayList<>();
    array.forEach(flag -> flags.add(flag.asText()));
    return flags;
  }

  private static List<SourceGroup> groups(JsonNode array) {
    List<SourceGroup> groups = new ArrayList<>();
    for (JsonNode json : array) {
      List<Integer> sources = new ArrayList<>();
      field(json, "sources").forEach(source -> sources.add(source.asInt()));
      groups.add(new SourceGroup(sources, field(json, "tau").asDouble(), reasoningTau(json)));
    }
    return groups;
  }

  private static List<Statement> statements(JsonNode array) {
    List<Statement> statements = new ArrayList<>();
    for (JsonNode json : array) {
      statements.add(new Statement(span(json), field(json, "logLikelihood").asDouble()));
    }
    return statements;
  }

  private static List<TokenScore> tokens(JsonNode array) {
    List<TokenScore> tokens = new ArrayList<>();
    for (JsonNode json : array) {
      tokens.add(new TokenScore(span(json), field(json, "logProb").asDouble()));
    }
    return tokens;
  }

  private static List<List<Double>> matrix(JsonNode array) {
    List<List<Double>> matrix = new ArrayList<>();
    for (JsonNode json : array) {
      List<Double> row = new ArrayList<>();
      json.forEach(tau -> row.add(tau.asDouble()));
      matrix.add(row);
    }
    return matrix;
  }

  private static Span span(JsonNode json) {
    return new Span(field(json, "start").asInt(), field(json, "end").asInt());
  }

  private static OptionalDouble nats(JsonNode json, String name) {
    JsonNode value = field(json, name);
    return value.isNull() ? OptionalDouble.empty() : OptionalDouble.of(value.asDouble());
  }

  private static JsonNode field(JsonNode json, String name) {
    JsonNode value = json.get(name);
    if (value == null) {
      throw new IllegalArgumentException("an attribution has no field '" + name + "'");
    }
    return value;
  }
}
