package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.ChatTemplate;
import dev.whence.engine.text.GgufTokenizer;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.PlainTemplate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.SpecialTokens;
import dev.whence.engine.text.TemplateSources;
import dev.whence.engine.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A model on disk: a Hugging Face directory (config.json, tokenizer.json, safetensors) or one GGUF
 * file. Opening it reads and checks everything but the tensors' values; those are read through
 * {@link #weights()} in pieces.
 *
 * <p>Everything is checked before it is believed, and a model whose config, weights and tokenizer
 * disagree is refused with all contradictions listed.
 */
public final class ModelFiles implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ModelFiles.class);

  private final String name;
  private final ModelConfig config;
  private final WeightSource weights;
  private final Tokenizer tokenizer;
  private final PromptTemplate template;
  private final WeightDigest digest;

  private ModelFiles(
      String name,
      ModelConfig config,
      WeightSource weights,
      Tokenizer tokenizer,
      PromptTemplate template,
      WeightDigest digest) {
    this.name = name;
    this.config = config;
    this.weights = weights;
    this.tokenizer = tokenizer;
    this.template = template;
    this.digest = digest;
  }

  /**
   * Opens a Hugging Face directory or a .gguf file with the chat template that it brings.
   *
   * @throws EngineException of kind MODEL if the files are missing, damaged, not supported or
   *     contradict each other; of kind ENVIRONMENT if they can not be read
   */
  public static ModelFiles open(Path path) {
    return open(path, Optional.empty());
  }

  /**
   * As {@link #open(Path)}.
   *
   * @param chatTemplate a Jinja chat template to use instead of the model's own
   */
  public static ModelFiles open(Path path, Optional<String> chatTemplate) {
    if (Files.isDirectory(path)) {
      return directory(path, chatTemplate);
    }
    if (!Files.exists(path)) {
      throw new EngineException(Kind.MODEL, path + " does not exist");
    }
    if (!path.toString().toLowerCase(Locale.ROOT).endsWith(".gguf")) {
      throw new EngineException(
          Kind.MODEL, path + " is neither a Hugging Face directory nor a .gguf file");
    }
    return gguf(path, chatTemplate);
  }

  /**
   * Finds a model by path or by its name in a Hugging Face hub cache.
   *
   * @param model a path, or {@code org/name} (or {@code org/name@revision})
   * @param caches hub caches (directories that hold {@code models--org--name}), tried in order
   * @return a directory or a .gguf file
   * @throws EngineException of kind MODEL that says where it was looked for
   */
  public static Path resolve(String model, Path... caches) {
    return HubCache.resolve(model, List.of(caches));
  }

  /** The model's name: {@code org/name} of a hub snapshot, else the directory's or file's name. */
  public String name() {
    return name;
  }

  public ModelConfig config() {
    return config;
  }

  public WeightSource weights() {
    return weights;
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  public PromptTemplate template() {
    return template;
  }

  /**
   * Names the model by its content, in hex: SHA-256 over UTF-8 lines, each ended by a line feed.
   * First {@code whence-model 2}; then for each tensor of {@link WeightSource#tensors()}, in order
   * of its name (UTF-16 code units): {@code tensor}, the name, the element type as handed out, the
   * dimensions joined by commas, and the SHA-256 of its bytes as handed out, separated by tabs;
   * then {@code tokenizer}, {@code config} and {@code template}, each with the SHA-256 of its bytes
   * after a tab; only where there is a chat template for conversations with tools, {@code template
   * tool_use} with its; last {@code settings} with those of what is said elsewhere about special
   * tokens and the end of an answer. Those bytes are, of a directory, tokenizer.json, config.json,
   * the chat template, and what is read of tokenizer_config.json, special_tokens_map.json and
   * generation_config.json; of a GGUF file, the equivalent tokenizer.json, all other metadata, the
   * chat template, and the tokenizer's numbers, flags and texts; no template has no bytes. {@code
   * TokenizerSettings} says how metadata and settings are written.
   *
   * <p>How tensors are spread over files and ordered in them makes no difference. The first call
   * reads all weights once, in pieces; later calls return the same string.
   */
  public String digest() {
    return digest.hex(weights);
  }

  @Override
  public void close() {
    try (weights) {
      tokenizer.close();
    }
  }

  /** What {@link #directory} reads besides the weights. */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Texts(
      ModelConfig config,
      byte[] configBytes,
      JsonNode tokenizer,
      byte[] tokenizerBytes,
      String tokenizerOrigin,
      SpecialTokens special,
      String settings,
      Optional<TemplateSources> template) {}

  static ModelText text(Path path, Optional<String> chatTemplate) {
    if (isGguf(path)) {
      return ggufText(path, chatTemplate);
    }
    if (!Files.isDirectory(path)) {
      throw new EngineException(
          Kind.MODEL, path + " is neither a Hugging Face directory nor a .gguf file");
    }
    Texts texts = texts(path, chatTemplate);
    String name = HubCache.nameOf(path);
    return text(
        name,
        texts.config(),
        texts.tokenizer(),
        texts.tokenizerOrigin(),
        texts.template(),
        texts.special());
  }

  private static ModelText text(
      String name,
      ModelConfig config,
      JsonNode tokenizerJson,
      String origin,
      Optional<TemplateSources> template,
      SpecialTokens special) {
    Tokenizer tokenizer = NativeTokenizer.of(tokenizerJson, origin);
    boolean complete = false;
    try {
      ModelText text =
          new ModelText(
              name,
              WeightDigest.ofTexts(config, tokenizerJson, template, special),
              config,
              tokenizer,
              prompts(template, special, config, tokenizer, name));
      complete = true;
      return text;
    } finally {
      if (!complete) {
        tokenizer.close();
      }
    }
  }

  private static boolean isGguf(Path path) {
    return Files.isRegularFile(path) && path.toString().toLowerCase(Locale.ROOT).endsWith(".gguf");
  }

  private static ModelText ggufText(Path path, Optional<String> chatTemplate) {
    try (GgufFile file = GgufFile.open(path)) {
      GgufMetadata metadata = file.metadata();
      ModelConfig config = GgufConfig.read(file);
      Optional<TemplateSources> template =
          chatTemplate.map(TemplateSources::new).or(() -> TokenizerSettings.template(metadata));
      String name = ggufName(path);
      JsonNode tokenizer =
          GgufTokenizer.withEnds(
              GgufTokenizer.toJson(TokenizerSettings.vocabulary(metadata), path.toString()),
              config.endTokens());
      return text(
          name,
          config,
          tokenizer,
          path.toString(),
          template,
          TokenizerSettings.specialTokens(metadata));
    }
  }

  private static String ggufName(Path path) {
    String fileName = String.valueOf(path.getFileName());
    return fileName.substring(0, fileName.length() - ".gguf".length());
  }

  private static ModelFiles directory(Path path, Optional<String> chatTemplate) {
    Texts texts = texts(path, chatTemplate);
    WeightDigest digest =
        WeightDigest.of(
            texts.tokenizerBytes(), texts.configBytes(), texts.template(), texts.settings());
    return assemble(
        HubCache.nameOf(path),
        texts.config(),
        new SafetensorsWeights(path),
        texts.tokenizer(),
        texts.tokenizerOrigin(),
        texts.special(),
        texts.template(),
        digest);
  }

  private static Texts texts(Path path, Optional<String> chatTemplate) {
    byte[] configBytes = UntrustedJson.bytes(path, "config.json");
    String configOrigin = path.resolve("config.json").toString();
    JsonNode configJson = UntrustedJson.object(configBytes, configOrigin);
    JsonNode generation = optional(path, "generation_config.json");
    ModelConfig config = HuggingFaceConfig.read(configJson, generation, configOrigin);
    if (!Files.exists(path.resolve("tokenizer.json"))) {
      throw new EngineException(
          Kind.MODEL,
          path
              + " has no tokenizer.json; write one with transformers:"
              + " AutoTokenizer.from_pretrained(d).save_pretrained(d)");
    }
    String tokenizerOrigin = path.resolve("tokenizer.json").toString();
    byte[] tokenizerBytes = UntrustedJson.bytes(path, "tokenizer.json");
    JsonNode tokenizerJson = UntrustedJson.object(tokenizerBytes, tokenizerOrigin);
    JsonNode tokenizerConfig = optional(path, "tokenizer_config.json");
    JsonNode specialTokensMap = optional(path, "special_tokens_map.json");
    SpecialTokens special =
        TokenizerSettings.specialTokens(
            tokenizerConfig, specialTokensMap, tokenizerJson, config.modelType());
    Optional<TemplateSources> template =
        chatTemplate
            .map(TemplateSources::new)
            .or(() -> TokenizerSettings.template(path, tokenizerConfig));
    JsonNode tokenizer =
        AddedTokens.merged(
            tokenizerJson,
            tokenizerConfig,
            TokenizerSettings.named(special, tokenizerConfig, specialTokensMap),
            config.vocabularySize(),
            tokenizerOrigin);
    return new Texts(
        config,
        configBytes,
        tokenizer,
        tokenizerBytes,
        tokenizerOrigin,
        special,
        TokenizerSettings.settings(configJson, generation, tokenizerConfig, specialTokensMap),
        template);
  }

  private static ModelFiles gguf(Path path, Optional<String> chatTemplate) {
    GgufFile file = GgufFile.open(path);
    boolean complete = false;
    try {
      GgufMetadata metadata = file.metadata();
      ModelConfig config = GgufConfig.read(file);
      GgufConfig.doubtfulWindow(metadata).ifPresent(LOG::warn);
      ObjectNode tokenizerJson =
          GgufTokenizer.toJson(TokenizerSettings.vocabulary(metadata), path.toString());
      Optional<TemplateSources> template =
          chatTemplate.map(TemplateSources::new).or(() -> TokenizerSettings.template(metadata));
      ModelFiles model =
          assemble(
              ggufName(path),
              config,
              new GgufWeights(file, GgufConfig.architecture(metadata), config),
              GgufTokenizer.withEnds(tokenizerJson, config.endTokens()),
              path.toString(),
              TokenizerSettings.specialTokens(metadata),
              template,
              WeightDigest.of(
                  tokenizerJson.toString().getBytes(StandardCharsets.UTF_8),
                  TokenizerSettings.otherThanTokenizer(metadata).getBytes(StandardCharsets.UTF_8),
                  template,
                  TokenizerSettings.settings(metadata)));
      complete = true;
      return model;
    } finally {
      if (!complete) {
        file.close();
      }
    }
  }

  /** Takes over the weights: closes them if anything contradicts them. */
  static ModelFiles assemble(
      String name,
      ModelConfig config,
      WeightSource weights,
      JsonNode tokenizerJson,
      String tokenizerOrigin,
      SpecialTokens special,
      Optional<TemplateSources> template,
      WeightDigest digest) {
    Tokenizer tokenizer = null;
    boolean complete = false;
    try {
      ExpectedTensors.check(config, weights.tensors(), name);
      tokenizer = NativeTokenizer.of(tokenizerJson, tokenizerOrigin);
      if (tokenizer.vocabularySize() > config.vocabularySize()) {
        throw new EngineException(
            Kind.MODEL,
            tokenizerOrigin
                + ": the tokenizer has ids up to "
                + (tokenizer.vocabularySize() - 1)
                + ", the model only "
                + config.vocabularySize()
                + " embeddings");
      }
      PromptTemplate prompts = prompts(template, special, config, tokenizer, name);
      complete = true;
      return new ModelFiles(name, config, weights, tokenizer, prompts, digest);
    } finally {
      if (!complete) {
        if (tokenizer != null) {
          tokenizer.close();
        }
        weights.close();
      }
    }
  }

  private static PromptTemplate prompts(
      Optional<TemplateSources> template,
      SpecialTokens special,
      ModelConfig config,
      Tokenizer tokenizer,
      String name) {
    return template.isPresent()
        ? ChatTemplate.of(template.get(), special, config.endTokens(), tokenizer, name)
        : new PlainTemplate(special, tokenizer);
  }

  /** A JSON object of the directory, or a missing node if there is no such file. */
  static JsonNode optional(Path directory, String file) {
    if (!Files.exists(directory.resolve(file))) {
      return MissingNode.getInstance();
    }
    return UntrustedJson.object(
        UntrustedJson.bytes(directory, file), directory.resolve(file).toString());
  }
}
