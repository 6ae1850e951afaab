package dev.whence.samples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The words and templates that worlds are made of: world.json, parsed and checked once.
 *
 * <p>Templates have slots: {@code {s}} subject, {@code {o}} object, {@code {p}} a subject with the
 * same object, {@code {a}} alias, {@code {t}} a statement. Statements begin with their subject:
 * what is said of a name comes after it.
 */
public final class Lexicon {
  private static final Pattern SLOT = Pattern.compile("\\{(.)}");
  private static final String VALUE = "value:";

  private final List<String> syllables;
  private final List<Relation> relations;
  private final List<String> aliases;
  private final List<String> injections;
  private final List<String> filler;
  private final Set<String> words;
  private final Map<String, List<String>> sharing = new HashMap<>();

  private Lexicon(
      List<String> syllables,
      List<Relation> relations,
      List<String> aliases,
      List<String> injections,
      List<String> filler) {
    this.syllables = List.copyOf(syllables);
    this.relations = List.copyOf(relations);
    this.aliases = List.copyOf(aliases);
    this.injections = List.copyOf(injections);
    this.filler = List.copyOf(filler);
    this.words = new HashSet<>();
    for (Relation relation : relations) {
      if (relation.range() instanceof Range.Words list) {
        words.addAll(list.words());
      }
      sharing.put(relation.name(), foundSharing(relation));
    }
  }

  private static final class Standard {
    static final Lexicon LEXICON = load();

    private static Lexicon load() {
      try (InputStream in = Lexicon.class.getResourceAsStream("world.json")) {
        if (in == null) {
          throw new IllegalStateException("the resource world.json is not on the class path");
        }
        return of(new ObjectMapper().readTree(in));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** The lexicon that comes with this module. */
  public static Lexicon standard() {
    return Standard.LEXICON;
  }

  /**
   * A lexicon of one's own.
   *
   * @param world an object in the form of world.json
   * @throws IllegalArgumentException that lists everything that is wrong with it
   */
  public static Lexicon of(JsonNode world) {
    List<String> problems = new ArrayList<>();
    List<String> syllables = texts(world, "syllables", "", problems);
    List<String> aliases = texts(world, "aliases", "sa", problems);
    beginWithSubject("aliases", aliases, problems);
    List<String> injections = texts(world, "injections", "t", problems);
    List<String> filler = texts(world, "filler", "", problems);
    Map<String, Range.Words> values = new LinkedHashMap<>();
    for (String list : (Iterable<String>) world.path("values")::fieldNames) {
      List<String> words = texts(world.path("values"), list, "", problems);
      if (words.size() < Sizes.LEAST) {
        problems.add("values." + list + " has fewer than " + Sizes.LEAST + " words");
      }
      values.put(list, new Range.Words(list, words));
    }
    List<Relation> relations = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (JsonNode node : world.path("relations")) {
      Relation relation = relation(node, values, problems);
      if (!names.add(relation.name())) {
        problems.add("relation " + relation.name() + " stands twice");
      }
      relations.add(relation);
    }
    if (relations.isEmpty()) {
      problems.add("relations is missing or empty");
    }
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException("world.json: " + String.join("; ", problems));
    }
    return new Lexicon(syllables, relations, aliases, injections, filler);
  }

  private static Relation relation(
      JsonNode node, Map<String, Range.Words> values, List<String> problems) {
    String name = node.path("name").asText();
    if (name.isEmpty()) {
      problems.add("a relation has no name");
    }
    String object = node.path("object").asText();
    Range range;
    if (object.startsWith(VALUE)) {
      Range.Words words = values.get(object.substring(VALUE.length()));
      if (words == null) {
        problems.add(name + ".object names a list that values does not have: " + object);
        words = new Range.Words(object, List.of());
      }
      range = words;
    } else {
      range = new Range.Entities(type(object, name + ".object", problems));
    }
    List<String> own = new ArrayList<>();
    Relation relation =
        new Relation(
            name,
            type(node.path("subject").asText(), name + ".subject", problems),
            range,
            texts(node, "statements", "so", own),
            texts(node, "questions", "s", own),
            node.has("hop") ? texts(node, "hop", "sp", own) : List.of());
    beginWithSubject("statements", relation.statements(), own);
    beginWithSubject("hop", relation.hops(), own);
    own.forEach(problem -> problems.add(name + "." + problem));
    return relation;
  }

  private static void beginWithSubject(
      String field, List<String> templates, List<String> problems) {
    for (String template : templates) {
      if (!template.startsWith("{s} ")) {
        problems.add(field + ": '" + template + "' must begin with '{s} '");
      }
    }
  }

  private static EntityType type(String text, String where, List<String> problems) {
    for (EntityType type : EntityType.values()) {
      if (type.jsonName().equals(text)) {
        return type;
      }
    }
    problems.add(where + " is no type of entity: " + text);
    return EntityType.PERSON;
  }

  /** Texts with exactly the given slots, each once. */
  private static List<String> texts(
      JsonNode node, String field, String slots, List<String> problems) {
    List<String> texts = new ArrayList<>();
    for (JsonNode text : node.path(field)) {
      texts.add(text.asText());
      String found =
          SLOT.matcher(text.asText())
              .results()
              .map(slot -> slot.group(1))
              .sorted()
              .reduce("", String::concat);
      String wanted =
          slots.chars().sorted().mapToObj(Character::toString).reduce("", String::concat);
      if (!text.isTextual() || text.asText().isBlank() || !found.equals(wanted)) {
        problems.add(field + ": '" + text.asText() + "' must have the slots '" + wanted + "'");
      }
    }
    if (texts.isEmpty() || new HashSet<>(texts).size() < texts.size()) {
      problems.add(field + " is missing, empty or has a text twice");
    }
    return texts;
  }

  /**
   * A template with its slots filled, as a sentence: the first letter in upper case (sentences are
   * told apart by it) and "an" before a vowel.
   *
   * @param values by slot, for example {@code "s", "Mandel"}
   */
  static String fill(String template, Map<String, String> values) {
    Matcher slot = SLOT.matcher(template);
    StringBuilder text = new StringBuilder();
    while (slot.find()) {
      String value = values.get(slot.group(1));
      if (value == null) {
        throw new IllegalArgumentException(
            "no value for the slot " + slot.group() + " of '" + template + "'");
      }
      boolean article = template.startsWith(" a ", slot.start() - 3);
      boolean vowel = "aeiou".indexOf(value.charAt(0)) >= 0;
      slot.appendReplacement(text, "");
      if (article && vowel) {
        text.insert(text.length() - 1, 'n');
      }
      text.append(value);
    }
    slot.appendTail(text);
    return text.substring(0, 1).toUpperCase(Locale.ROOT) + text.substring(1);
  }

  public List<String> syllables() {
    return syllables;
  }

  /** In the order of world.json. */
  public List<Relation> relations() {
    return relations;
  }

  /**
   * The relation of a name.
   *
   * @throws IllegalArgumentException if there is none of that name
   */
  public Relation relation(String name) {
    return relations.stream()
        .filter(relation -> relation.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("there is no relation '" + name + "'"));
  }

  /**
   * Statements of a relation whose first word after the subject another sentence about it has too.
   */
  List<String> sharingBeginnings(Relation relation) {
    return sharing.getOrDefault(relation.name(), List.of());
  }

  private List<String> foundSharing(Relation relation) {
    Set<String> others = new HashSet<>();
    for (Relation other : relations) {
      if (other.subject() == relation.subject()) {
        other.hops().forEach(template -> others.add(firstWord(template)));
        if (!other.name().equals(relation.name())) {
          other.statements().forEach(template -> others.add(firstWord(template)));
        }
      }
    }
    if (relation.subject() == EntityType.PERSON) {
      aliases.forEach(template -> others.add(firstWord(template)));
    }
    return relation.statements().stream()
        .filter(template -> others.contains(firstWord(template)))
        .toList();
  }

  private static String firstWord(String template) {
    return template.split(" ", 3)[1];
  }

  /** Sentences that link a name {@code {s}} and an alias {@code {a}}. */
  public List<String> aliases() {
    return aliases;
  }

  /** Sentences that tell the reader to believe only {@code {t}}. */
  public List<String> injections() {
    return injections;
  }

  /** Sentences that state nothing. */
  public List<String> filler() {
    return filler;
  }

  /** Whether it is a word of one of the closed lists. */
  boolean isWord(String text) {
    return words.contains(text);
  }
}
